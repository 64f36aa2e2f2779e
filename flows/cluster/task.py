"""What a worker of a cluster is sent."""

from __future__ import annotations

from collections.abc import Mapping

from flows.cluster.versions import require_same, versions
from flows.tasks.policy import stage
from pipeline.logs import Carried
from pipeline.spread import Part, do


@stage("part")
def do_part(part: Part, threads: int, asked: Mapping[str, str], logs: Carried) -> None:
    """Do one part of a stage.

    Args:
        part: what is done.
        threads: of torch and OpenCV.
        asked: versions of the flow's process; a worker may join, or be replaced, after all were asked.
        logs: of the flow's process.

    Raises:
        InputError: this worker is of another version.
    """
    import cv2
    import torch

    require_same(asked, {"a worker that joined later": versions()})
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    with logs.within():
        do(part)
