"""Could `--cluster` be used?"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec

from flows.doctor.check import Check, Place, skipped

_PACKAGES = ("dask", "distributed", "prefect-dask")


def checks(_: Place) -> Iterator[Check]:
    """Whether the packages of the extra `cluster` are there; a cluster's own workers are checked when it is used."""
    missing = [name for name in _PACKAGES if find_spec(name.replace("-", "_")) is None]
    if missing:
        found = f"{', '.join(missing)} not installed: --cluster needs `pip install 'cxr-audit[cluster]'`"
    else:
        found = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    yield skipped("dask", "packages", found)
