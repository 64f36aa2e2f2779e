"""Parts that need no data: processes and workers import them by name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.artifacts import write_text
from pipeline.errors import IntegrityError


@dataclass(frozen=True)
class Chore:
    """Leaves its number doubled in its file, and a line in the diary that says who did it."""

    folder: Path
    number: int
    network: bool = False

    @property
    def needs(self) -> tuple[Path, ...]:
        return ()

    @property
    def target(self) -> Path:
        return self.folder / f"{self.number:03d}.txt"

    def do(self) -> None:
        with (self.folder / "diary").open("a") as diary:
            diary.write(f"{self.number} {os.getpid()}\n")
        write_text(self.target, str(2 * self.number))


class Failing(Chore):
    """Finds its input damaged."""

    def do(self) -> None:
        raise IntegrityError(f"part {self.number} is damaged", self.target)


class Perilous(Chore):
    """May kill who does it."""

    may_die = True


class Deadly(Chore):
    """Kills whoever does it."""

    def do(self) -> None:
        os._exit(9)


class DeadlyOnce(Chore):
    """Kills the first one who does it."""

    def do(self) -> None:
        met = self.folder / f"met-{self.number}"
        if not met.exists():
            met.touch()
            os._exit(9)
        super().do()


def diary(folder: Path) -> list[tuple[int, int]]:
    """(number, process) of all parts that were done, in order."""
    lines = (folder / "diary").read_text().splitlines()
    return [(int(number), int(process)) for number, process in (line.split() for line in lines)]
