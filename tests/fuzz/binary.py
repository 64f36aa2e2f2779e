"""Mutations of bytes, and of files that consist of pieces with a length: chunks, segments, directory entries."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from typing import Final

from tests.fuzz.bases import deflate_bomb

NUMBERS: Final = (0, 1, 2, 3, 7, 8, 16, 31, 32, 33, 255, 256, 4095, 9_999, 10_000, 32_767, 32_768, 65_535)
LONG_NUMBERS: Final = (*NUMBERS, 65_536, 99_999, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, (1 << 32) - 2)

Mutation = Callable[[bytearray, random.Random], None]


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One mutation that knows nothing of the format."""
    changed = bytearray(data) or bytearray(b"\0")
    rng.choice(_PLAIN)(changed, rng)
    return bytes(changed)


def spliced(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """The beginning of one file and the end of another one."""
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def restructured(data: bytes, kind: str, rng: random.Random) -> bytes:
    """One mutation of the pieces of a raster file; of its bytes, where it no longer has any."""
    pieces = {"png": _png, "jpeg": _jpeg, "webp": _webp}.get(kind)
    found = pieces(data) if pieces else []
    changed = bytearray(data)
    if found and kind == "png":
        return _png_changed(data, found, rng)
    if found:
        _piece_changed(changed, found, rng)
    elif kind == "tiff" and len(data) > 8:
        _tiff_changed(changed, rng)
    else:
        _number(changed, rng, below=min(64, len(changed)))
    return bytes(changed)


def _flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 1, 4, 16))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _overwrite(data: bytearray, rng: random.Random) -> None:
    start, size = _span(data, rng)
    data[start : start + size] = rng.choice((rng.randbytes(size), bytes(size), b"\xff" * size))


def _truncate(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def _delete(data: bytearray, rng: random.Random) -> None:
    start, size = _span(data, rng)
    del data[start : start + size]


def _repeat(data: bytearray, rng: random.Random) -> None:
    start, size = _span(data, rng)
    data[start:start] = data[start : start + size] * rng.choice((1, 1, 2, 50))


def _insert(data: bytearray, rng: random.Random) -> None:
    start, size = _span(data, rng)
    data[start:start] = rng.randbytes(size)


def _move(data: bytearray, rng: random.Random) -> None:
    start, size = _span(data, rng)
    to = rng.randrange(len(data))
    data[to : to + size] = data[start : start + size]


def _number(data: bytearray, rng: random.Random, below: int | None = None) -> None:
    """A length, size or count that is not so; mostly near the beginning, where headers are."""
    size = rng.choice((1, 2, 4))
    end = below or (len(data) if rng.random() < 0.5 else min(len(data), 512))
    at = rng.randrange(max(1, end - size))
    numbers = LONG_NUMBERS if size == 4 else NUMBERS
    data[at : at + size] = (rng.choice(numbers) & ((1 << 8 * size) - 1)).to_bytes(size, rng.choice(("little", "big")))


def _span(data: bytearray, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data))
    return start, min(rng.choice((1, 2, 4, 8, 64, 512)), len(data) - start)


_PLAIN: Final[tuple[Mutation, ...]] = (
    *(_flip, _overwrite, _truncate, _delete, _repeat, _insert, _move),
    lambda data, rng: _number(data, rng),
)

Piece = tuple[int, int, int, int]
"""Where a piece starts, where its length stands, where its content starts, where it ends."""


def _png(data: bytes) -> list[Piece]:
    return _walk(data, 8, lambda at: (at, at + 8, 12 + int.from_bytes(data[at : at + 4], "big")))


def _jpeg(data: bytes) -> list[Piece]:
    return _walk(data, 2, lambda at: (at + 2, at + 4, 2 + int.from_bytes(data[at + 2 : at + 4], "big")))


def _webp(data: bytes) -> list[Piece]:
    def place(at: int) -> tuple[int, int, int]:
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        return at + 4, at + 8, 8 + size + size % 2

    return _walk(data, 12, place)


def _walk(data: bytes, at: int, place: Callable[[int], tuple[int, int, int]]) -> list[Piece]:
    found = []
    while at + 8 <= len(data) and len(found) < 1000:
        length_at, content, size = place(at)
        if at + size > len(data):
            break
        found.append((at, length_at, content, at + size))
        at += size
    return found


def _piece_changed(data: bytearray, pieces: list[Piece], rng: random.Random) -> None:
    start, length_at, content, end = rng.choice(pieces)
    what = rng.randrange(5)
    if what == 0:
        del data[start:end]
    elif what == 1:
        data[start:start] = data[start:end] * rng.choice((1, 100))
    elif what == 2:
        other = rng.choice(pieces)
        data[start:end] = data[other[0] : other[3]]
    elif what == 3:
        size = content - length_at
        data[length_at:content] = (rng.choice(LONG_NUMBERS) % (1 << 8 * size)).to_bytes(size, "big")
    elif content < end:
        inner = data[content:end]
        _number(inner, rng)
        data[content:end] = inner


def _png_changed(data: bytes, pieces: list[Piece], rng: random.Random) -> bytes:
    """Chunks changed, with checksums that are right again: otherwise the reader sees no further than those."""
    chunks = [[data[start + 4 : start + 8], data[start + 8 : end - 4]] for start, _, _, end in pieces]
    chosen = rng.randrange(len(chunks))
    what = rng.randrange(7)
    if what == 0:
        del chunks[chosen]
    elif what == 1:
        chunks[chosen:chosen] = [chunks[chosen]] * rng.choice((1, 100))
    elif what == 2:
        chunks.insert(chosen, [rng.choice(_PNG_NAMES), rng.randbytes(rng.randrange(64))])
    elif what == 3:
        chunks.insert(1, [rng.choice((b"zTXt", b"iCCP")), b"bomb\0\0" + b"\x78\xda" + deflate_bomb(64)])
    elif what == 4:
        chunks[0][1] = _png_header(rng)
    elif what == 5:
        chunks[chosen][1] = zlib.compress(rng.randbytes(rng.randrange(4096)))
    else:
        inner = bytearray(chunks[chosen][1] or b"\0")
        rng.choice(_PLAIN)(inner, rng)
        chunks[chosen][1] = bytes(inner)
    packed = [
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    ]
    return data[:8] + b"".join(packed)


_PNG_NAMES: Final = (b"PLTE", b"tRNS", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"IDAT", b"IEND", b"gAMA", b"cHRM", b"iTXt")


def _png_header(rng: random.Random) -> bytes:
    width, height = (rng.choice((*NUMBERS, 1 << 20, (1 << 31) - 1)) for _ in range(2))
    depth, colour = rng.choice((1, 2, 4, 8, 16, 3, 0)), rng.choice((0, 2, 3, 4, 6, 5, 255))
    return struct.pack(">IIBBBBB", width, height, depth, colour, rng.choice((0, 1)), 0, rng.choice((0, 1, 2)))


def _tiff_changed(data: bytearray, rng: random.Random) -> None:
    """One field of one entry of the first directory: tag, type, count or value."""
    order = "little" if data[:2] == b"II" else "big"
    directory = int.from_bytes(data[4:8], order)
    entries = int.from_bytes(data[directory : directory + 2], order)
    if not 0 < entries < 100 or directory + 2 + 12 * entries > len(data):
        return _number(data, rng)
    entry = directory + 2 + 12 * rng.randrange(entries)
    offset, size = rng.choice(((0, 2), (2, 2), (4, 4), (8, 4), (8, 2)))
    value = rng.choice((*LONG_NUMBERS, *range(254, 340))) % (1 << 8 * size)
    data[entry + offset : entry + offset + size] = value.to_bytes(size, order)
    return None
