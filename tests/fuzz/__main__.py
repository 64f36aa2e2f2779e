"""`python -m tests.fuzz --count 10000`: mutated images, manifests and tables through the real readers and `ingest`.

Each input is judged in a process of bounded memory and time; then all images once more, many together, by `ingest`.
Failures are minimised and written to a folder; a line of ``recipes.txt`` there, put into tests/fuzz/found.txt, is a
regression test from then on.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from time import monotonic

from tests.fuzz.mutate import IMAGES, KINDS, Input
from tests.fuzz.sandbox import MEGABYTE, SECONDS, Sandbox, Verdict

TOGETHER = 50
"""Images of one ingest."""
OF_A_KIND = 3
"""Failures that are alike of which the inputs are kept."""


@dataclass
class Tally:
    """What came of the inputs so far."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[tuple[Input, str]] = field(default_factory=list)
    peak: int = 0
    seconds: float = 0.0
    slowest: str = ""
    largest: str = ""
    ingested: int = 0

    def add(self, name: str, verdict: Verdict, inputs: tuple[Input, ...]) -> None:
        outcome = "FAILED" if verdict.failed else verdict.outcome
        self.outcomes[name, outcome] += 1
        if len(inputs) == 1:
            if verdict.seconds > self.seconds:
                self.seconds, self.slowest = verdict.seconds, str(inputs[0])
            if verdict.peak > self.peak:
                self.peak, self.largest = verdict.peak, str(inputs[0])
        if verdict.failed:
            sys.stderr.write("".join(f"FAILED {each}  # {verdict.outcome}\n" for each in inputs))
            self.failures += [(each, verdict.outcome) for each in inputs]


def main() -> int:
    asked = _arguments()
    kinds = tuple(asked.kind or KINDS)
    started = monotonic()
    numbers = range(asked.first, asked.first + asked.count)
    inputs = [Input.drawn(asked.seed, number, kinds, from_real=not asked.generated) for number in numbers]
    shares = [inputs[start :: asked.workers] for start in range(asked.workers)]
    with ThreadPoolExecutor(asked.workers) as pool:
        tallies = list(pool.map(partial(_judge_all, seconds=asked.seconds), shares))
    failures = list(chain.from_iterable(tally.failures for tally in tallies))
    _report(tallies, len(inputs), monotonic() - started)
    if failures:
        _keep(failures, asked.out, asked.seconds)
    return 1 if failures else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="how many inputs")
    parser.add_argument("--first", type=int, default=0, help="number of the first: a run can be done in slices")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other inputs")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only these; may be given several times")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="allowed for one file")
    parser.add_argument("--generated", action="store_true", help="leave out the real x-rays")
    parser.add_argument("--out", type=Path, default=Path("fuzz-failures"), help="folder for inputs that failed")
    return parser.parse_args()


def _judge_all(inputs: list[Input], seconds: float) -> Tally:
    tally = Tally()
    with Sandbox(seconds=seconds) as sandbox:
        for number, each in enumerate(inputs, start=1):
            tally.add(each.kind, sandbox.judge(each), (each,))
            if number % 100 == 0:
                sys.stderr.write(f"{number} of {len(inputs)} of this worker, {len(tally.failures)} failed\n")
        failed = {each for each, _ in tally.failures}
        for batch in _batches([each for each in inputs if each.kind in IMAGES and each not in failed]):
            verdict = sandbox.judge(*batch)
            tally.ingested += len(batch)
            tally.add("ingest", verdict, tuple(_culprits(sandbox, batch)) if verdict.failed else batch)
    return tally


def _batches(inputs: list[Input]) -> Iterator[tuple[Input, ...]]:
    for start in range(0, len(inputs), TOGETHER):
        batch = tuple(inputs[start : start + TOGETHER])
        yield batch if len(batch) > 1 else batch * 2


def _culprits(sandbox: Sandbox, batch: tuple[Input, ...]) -> list[Input]:
    """Which of them make an ingest fail; all of them where none does it alone."""
    return [each for each in batch if sandbox.judge(each, each).failed] or list(batch)


def _report(tallies: list[Tally], count: int, seconds: float) -> None:
    outcomes = sum((tally.outcomes for tally in tallies), Counter())
    for (name, outcome), number in sorted(outcomes.items()):
        sys.stdout.write(f"{name:9} {outcome:24} {number}\n")
    slowest, largest = max(tallies, key=lambda t: t.seconds), max(tallies, key=lambda t: t.peak)
    sys.stdout.write(
        f"{count} inputs, {sum(tally.ingested for tally in tallies)} of them ingested as well, in {seconds:.0f} s\n"
        f"slowest {slowest.seconds:.2f} s: {slowest.slowest}\n"
        f"largest {largest.peak / MEGABYTE:.0f} MiB above the idle process: {largest.largest}\n"
        f"failed {sum(len(tally.failures) for tally in tallies)}\n"
    )


def _keep(failures: list[tuple[Input, str]], out: Path, seconds: float) -> None:
    """Write the failing inputs, minimised, and the recipes that make them."""
    out.mkdir(parents=True, exist_ok=True)
    alike: Counter[str] = Counter()
    with Sandbox(seconds=seconds) as sandbox, (out / "recipes.txt").open("a") as recipes:
        for each, what in failures:
            alike[what[:80]] += 1
            if alike[what[:80]] > OF_A_KIND:
                continue
            small = minimised(each, sandbox)
            (
                out / f"{what.split(':')[0].replace(' ', '-').replace('/', '-')}-{hash(small) & 0xFFFFFFFF:08x}"
            ).write_bytes(small.bytes())
            recipes.write(f"{small}  # {what}\n")
    for what, number in alike.most_common():
        sys.stdout.write(f"FAILED {number} x {what}\n")
    sys.stdout.write(f"Inputs and recipes: {out}\n")


def minimised(failing: Input, sandbox: Sandbox) -> Input:
    """The same failing input with as few mutations as still fail."""
    for position in reversed(range(len(failing.steps))):
        fewer = failing.without(position)
        if sandbox.judge(fewer).failed:
            failing = fewer
    return failing


if __name__ == "__main__":
    sys.exit(main())
