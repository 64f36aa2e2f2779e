"""How large an image inside a compressed DICOM frame says it is.

Decoders believe the frame, not the DICOM header: a frame that claims 60,000 x 60,000 behind a header of 512 x 512
would be allocated before anybody compared the two.
"""

from __future__ import annotations

_J2K_START = b"\xff\x4f\xff\x51"
_START_OF_FRAME = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
"""JPEG's SOF0-SOF15 and the one of JPEG-LS; C4, C8 and CC are tables."""


def frame_size(frame: bytes) -> tuple[int, int] | None:
    """(width, height) that a JPEG, JPEG-LS or JPEG 2000 codestream claims; None where it is none of these."""
    start = frame.find(_J2K_START, 0, 1024)
    if start >= 0:
        x, y, x0, y0 = (int.from_bytes(frame[start + at : start + at + 4], "big") for at in (8, 12, 16, 20))
        return x - x0, y - y0
    return _jpeg_size(frame) if frame.startswith(b"\xff\xd8") else None


def _jpeg_size(frame: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(frame) and frame[at] == 0xFF:
        if frame[at + 1] in _START_OF_FRAME:
            return int.from_bytes(frame[at + 7 : at + 9], "big"), int.from_bytes(frame[at + 5 : at + 7], "big")
        at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return None
