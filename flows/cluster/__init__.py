"""Where the parts of a flow's work are done: in processes of this machine, or by the workers of a Dask cluster."""

from flows.cluster.current import spread, spread_for, spreading

__all__ = ["spread", "spread_for", "spreading"]
