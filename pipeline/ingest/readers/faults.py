"""What a decoding library does with a damaged file, said in our words."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import ImageReadError, ProblemReason

_CUT_SHORT = re.compile(
    r"truncat|end of file|end of stream|premature|not enough|unexpected end|less than expected|unrecognized data stream"
)


@contextmanager
def decoder_faults() -> Iterator[None]:
    """Turn whatever a decoder raises into an `ImageReadError`: TRUNCATED where it ran out of bytes, else UNREADABLE.

    Decoders meet hostile bytes and raise nearly any exception. One bad file must become one problem row and
    never end an ingest, so all are caught, except for memory, which is not the file's fault.
    """
    try:
        yield
    except (ImageReadError, MemoryError):
        raise
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        short = isinstance(error, EOFError | struct.error) or _CUT_SHORT.search(text.lower())
        reason = ProblemReason.TRUNCATED if short else ProblemReason.UNREADABLE
        raise ImageReadError(reason, f"{text[:200]}; copy the file again or leave it out") from error
