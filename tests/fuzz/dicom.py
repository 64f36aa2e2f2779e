"""Mutations of DICOM files: values, lengths, VRs and order of elements, nesting, transfer syntaxes, bombs."""

from __future__ import annotations

import random
import struct
from typing import Final

from pydicom import uid
from pydicom.datadict import tag_for_keyword

from pipeline.ingest.readers.dicom_pixels import PIXEL_TAGS
from tests.fuzz.bases import deflate_bomb
from tests.fuzz.binary import LONG_NUMBERS, NUMBERS
from tests.fuzz.binary import mutated as bytes_mutated

_VRS: Final = (b"US", b"SS", b"UL", b"OW", b"OB", b"DS", b"IS", b"SQ", b"UN", b"UI", b"PN", b"AT", b"FD", b"LO", b"??")
_LONG_VRS: Final = frozenset(
    (b"OB", b"OW", b"OF", b"SQ", b"UN", b"UC", b"UR", b"UT", b"OD", b"OL", b"UV", b"SV", b"OV")
)
_SYNTAXES: Final = tuple(
    syntax.encode()
    for syntax in (
        *(uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian),
        *(uid.DeflatedExplicitVRLittleEndian, uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless),
        *(uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEGLSNearLossless, uid.JPEG2000Lossless, uid.JPEG2000),
        *(uid.RLELossless, uid.HTJ2KLossless, uid.MPEG2MPML, "1.2.3"),
    )
)
_TEXTS: Final = (
    b"",
    b"-1",
    b"1e400",
    b"NaN",
    b"9" * 16,
    b"1\\2\\3",
    b"../../etc/passwd",
    b"<b>x",
    b"\x1b[2J",
    b"\xff\xfe",
)
_TAGS: Final = tuple(tag_for_keyword(keyword) or 0 for keyword in (*PIXEL_TAGS, "SOPClassUID", "Modality", "PatientID"))

Element = tuple[int, int, int, int]
"""Where an element starts, where its length stands, where its value starts, where it ends."""


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One mutation of the elements of a DICOM file."""
    found = _elements(data)
    if not found or rng.random() < 0.1:
        return _bomb(data, rng)
    changed = bytearray(data)
    what = rng.choice((_value, _value, _length, _vr, _drop, _again, _tag, _extra, _syntax, _nest, _frame))
    what(changed, found, rng)
    return bytes(changed)


def _elements(data: bytes) -> list[Element]:
    """Elements in explicit little endian, as far as they can be followed."""
    at, found = 132, []
    while at + 8 <= len(data):
        vr = data[at + 4 : at + 6]
        if not vr.isalpha() or not vr.isupper():
            break
        wide = vr in _LONG_VRS
        length_at, value = (at + 8, at + 12) if wide else (at + 6, at + 8)
        size = int.from_bytes(data[length_at:value], "little")
        end = min(len(data), value + size)
        found.append((at, length_at, value, end))
        at = end
    return found


def _value(data: bytearray, found: list[Element], rng: random.Random) -> None:
    _, length_at, start, end = rng.choice(found)
    size = end - start
    if size in (2, 4, 6):
        data[start : start + 2] = rng.choice(NUMBERS).to_bytes(2, "little")
    else:
        inner = rng.choice((rng.choice(_TEXTS), bytes_mutated(bytes(data[start:end]), rng)))
        inner += b" " * (len(inner) % 2)
        width = start - length_at
        data[length_at:end] = (len(inner) % (1 << 8 * width)).to_bytes(width, "little") + inner


def _length(data: bytearray, found: list[Element], rng: random.Random) -> None:
    _, at, value, end = rng.choice(found)
    lies = (*LONG_NUMBERS, end - value - 1, end - value + 1, end - value + 2, len(data))
    data[at:value] = (rng.choice(lies) % (1 << 8 * (value - at))).to_bytes(value - at, "little")


def _vr(data: bytearray, found: list[Element], rng: random.Random) -> None:
    start = rng.choice(found)[0]
    data[start + 4 : start + 6] = rng.choice(_VRS)


def _drop(data: bytearray, found: list[Element], rng: random.Random) -> None:
    start, _, _, end = rng.choice(found)
    del data[start:end]


def _again(data: bytearray, found: list[Element], rng: random.Random) -> None:
    start, _, _, end = rng.choice(found)
    to = rng.choice(found)[0]
    data[to:to] = data[start:end] * rng.choice((1, 50))


def _tag(data: bytearray, found: list[Element], rng: random.Random) -> None:
    """The element becomes another one, of those that are read."""
    start = rng.choice(found)[0]
    data[start : start + 4] = _packed_tag(rng.choice(_TAGS))


def _extra(data: bytearray, found: list[Element], rng: random.Random) -> None:
    vr = rng.choice(_VRS)
    value = rng.choice((*_TEXTS, *(number.to_bytes(2, "little") for number in NUMBERS), rng.randbytes(64)))
    at = rng.choice(found)[0]
    data[at:at] = _element(rng.choice(_TAGS), vr, value)


def _syntax(data: bytearray, found: list[Element], rng: random.Random) -> None:
    for start, length_at, value, end in found:
        if data[start : start + 4] == b"\x02\x00\x10\x00":
            name = rng.choice(_SYNTAXES)
            name += b"\0" * (len(name) % 2)
            data[length_at:end] = len(name).to_bytes(value - length_at, "little") + name


def _nest(data: bytearray, found: list[Element], rng: random.Random) -> None:
    """Sequences within sequences, none of which ends, in an element that is read."""
    depth = rng.choice((1, 10, 500, 5000))
    tag = _packed_tag(rng.choice((tag_for_keyword("VOILUTSequence"), tag_for_keyword("ModalityLUTSequence"))) or 0)
    level = tag + b"SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    closing = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0" if rng.random() < 0.5 else b""
    at = rng.choice(found)[0]
    data[at:at] = level * depth + closing * depth


def _frame(data: bytearray, found: list[Element], rng: random.Random) -> None:
    """The compressed frame, or raw pixels, changed; mostly its first bytes, which hold sizes and tables."""
    _, _, start, end = found[-1]
    start = min(start + rng.choice((0, 8, 16)), end)
    reach = min(end, start + rng.choice((64, 256, 1 << 20)))
    data[start:reach] = bytes_mutated(bytes(data[start:reach]), rng)


def _bomb(data: bytes, rng: random.Random) -> bytes:
    """A deflated data set that grows a thousandfold, behind a file meta group that tells the truth or lies."""
    padding = b"" if rng.random() < 0.5 else _element(0x00020102, b"OB", bytes(6000))
    syntax = _element(0x00020010, b"UI", uid.DeflatedExplicitVRLittleEndian.encode() + b"\0")
    length = len(padding + syntax) if rng.random() < 0.5 else rng.choice(LONG_NUMBERS)
    meta = _element(0x00020000, b"UL", struct.pack("<I", length)) + padding + syntax
    return bytes(128) + b"DICM" + meta + deflate_bomb(rng.choice((1, 64, 1024)))


def _packed_tag(tag: int) -> bytes:
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF)


def _element(tag: int, vr: bytes, value: bytes) -> bytes:
    length = b"\0\0" + struct.pack("<I", len(value)) if vr in _LONG_VRS else struct.pack("<H", len(value))
    return _packed_tag(tag) + vr + length + value
