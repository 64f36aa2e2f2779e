"""Which device audits run on with `--device auto`, and why no GPU is used where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from flows.doctor.check import Check, Place, checked

_DRIVER = Path("/proc/driver/nvidia/version")
_MEMORY = 4e9


def checks(_: Place) -> Iterator[Check]:
    """torch's build, the driver, and the free memory of every GPU."""
    import torch

    build = torch.version.cuda
    driver = _DRIVER.exists()
    if not torch.cuda.is_available():
        found = f"torch {torch.__version__}, {f'CUDA {build}' if build else 'CPU only'}; "
        found += "an NVIDIA driver is loaded" if driver else "no NVIDIA driver"
        fix = "see that the driver is as new as torch's CUDA" if build else "install a CUDA build of this torch version"
        # A laptop without GPU is fine; a GPU that lies idle is not what its owner expects.
        yield checked("gpu", "device", not driver, f"cpu: {found}", fix, "warning")
        return
    yield Check("gpu", "device", "ok", f"cuda: torch {torch.__version__}, CUDA {build}")
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        found = f"{torch.cuda.get_device_name(index)}: {free / 1e9:.1f} of {total / 1e9:.1f} GB free"
        yield checked("gpu", f"GPU {index}", free >= _MEMORY, found, "another process holds it: nvidia-smi", "warning")
