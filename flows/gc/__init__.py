"""What a workspace could do without, and deleting it: `cxr-audit gc`.

things       what lies in a workspace
references   what each run and version refers to
roots        what is kept for its own sake: accepted, decided about, at work, young
collect      the plan, and doing it
"""

from flows.gc.collect import Judged, delete, plan

__all__ = ["Judged", "delete", "plan"]
