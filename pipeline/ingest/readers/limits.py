"""Sizes beyond which a file is refused, asked before anything is read or decoded."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config import IngestConfig
from pipeline.errors import ImageReadError, ProblemReason


@dataclass(frozen=True)
class ReadLimits:
    """Refuses files and images that are too small to be a chest x-ray or too large to be decoded safely."""

    min_side: int = 32
    max_pixels: int = 100_000_000
    max_file_bytes: int = 512_000_000

    @classmethod
    def of(cls, config: IngestConfig) -> ReadLimits:
        """The limits that the ingest settings ask for."""
        return cls(config.min_side, config.max_pixels, config.max_file_bytes)

    def check_file(self, size: int) -> None:
        """Refuse a file of `size` bytes.

        Raises:
            ImageReadError: EMPTY_FILE or TOO_LARGE.
        """
        if size == 0:
            raise ImageReadError(ProblemReason.EMPTY_FILE, "0 bytes; copy the file again")
        if size > self.max_file_bytes:
            raise ImageReadError(
                ProblemReason.TOO_LARGE,
                f"{size:,} bytes, allowed {self.max_file_bytes:,}; "
                "raise audit.ingest.max_file_bytes if this is an x-ray",
            )

    def check_image(self, width: int, height: int) -> None:
        """Refuse a `width` x `height` image.

        Raises:
            ImageReadError: TOO_SMALL or TOO_LARGE.
        """
        if min(width, height) < self.min_side:
            raise ImageReadError(
                ProblemReason.TOO_SMALL, f"{width} x {height} pixels, at least {self.min_side} a side are needed"
            )
        if width * height > self.max_pixels:
            raise ImageReadError(
                ProblemReason.TOO_LARGE,
                f"{width} x {height} pixels, allowed {self.max_pixels:,} in all; "
                "raise audit.ingest.max_pixels if this is an x-ray",
            )
