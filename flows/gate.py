"""Whether an audit passes: the conditions of `--fail-on`, one check a finding or comparison, and the JUnit file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args
from xml.etree import ElementTree

from flows.acceptance import accepted, dataset_of, need_findings
from flows.mirror import refresh
from flows.results import AT_LEAST
from flows.workspace import Workspace
from pipeline.artifacts import read_json, write_text
from pipeline.errors import InputError

Condition = Literal["confirmed", "suspected", "metric-drop", "drift"]
CONDITIONS: Final[tuple[Condition, ...]] = get_args(Condition)

_NEED_ACCEPTED: Final = frozenset({"metric-drop", "drift"})
_WHY: Final = {
    "confirmed": "confirmed: the causal test proved it",
    "accepted": "accepted: a reviewer took it for one",
    "suspected": "suspected: not proved, and not refuted",
}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. Texts name findings, classes and metrics: no patient, image, file or printed word.

    Attributes:
        group: "finding", "metric" or "drift".
        name: unique within the group.
        failure: why it fails a condition that was asked for; None: it does not.
        undecided: why nothing can be said.
        conditions: which of those that were asked for it fails.
    """

    group: str
    name: str
    failure: str | None = None
    undecided: str | None = None
    conditions: tuple[Condition, ...] = ()


def need_accepted(workspace: Workspace, dataset: str, fail_on: Collection[str]) -> None:
    """Refuse conditions that compare with an accepted audit where none is; to be asked before hours of work.

    Raises:
        InputError: none is accepted.
    """
    asked = sorted(_NEED_ACCEPTED.intersection(fail_on))
    if asked:
        refresh(workspace.path, dataset=dataset)
    if asked and accepted(workspace, dataset) is None:
        raise InputError(
            f"--fail-on {' and '.join(asked)} compares with an accepted audit of {dataset}, and none is accepted. "
            "Accept one first: cxr-audit accept RUN --by NAME."
        )


def checks(run: Path, fail_on: Collection[str], drop_at_least: float = 0.0) -> list[Check]:
    """Every check of an audit, in a fixed order.

    Args:
        run: an audited run.
        fail_on: conditions that make a check fail; without any, none fails.
        drop_at_least: a metric fails `metric-drop` when the whole interval of its difference to the accepted audit
            lies below 0 and the difference is at least as large as this.

    Raises:
        InputError: the run has no findings yet, or a condition needs an accepted audit and the run was compared with
            none, or with another one.
    """
    from pipeline.drift import TEXT

    need_findings(run)
    found = [_finding(each, fail_on) for each in read_json(run / "findings.json")["findings"]]
    rows = _rows(run, fail_on)
    others = [_row(row, fail_on, drop_at_least) for row in rows if row["about"] != TEXT]
    return [*found, *others, *_texts([row for row in rows if row["about"] == TEXT], fail_on)]


def junit(run: Path, found: Collection[Check]) -> str:
    """The checks as JUnit XML, as Jenkins and other CI servers read it. No times: equal checks give equal text."""
    dataset = dataset_of(run)
    counts = {
        "tests": str(len(found)),
        "failures": str(sum(check.failure is not None for check in found)),
        "errors": "0",
    }
    skipped = str(sum(check.failure is None and check.undecided is not None for check in found))
    root = ElementTree.Element("testsuites", {"name": "cxr-audit", **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": f"cxr-audit {dataset}", **counts, "skipped": skipped})
    properties = ElementTree.SubElement(suite, "properties")
    ElementTree.SubElement(properties, "property", {"name": "run", "value": run.name})
    for check in found:
        about = {"classname": f"cxr-audit.{dataset}.{check.group}", "name": check.name}
        case = ElementTree.SubElement(suite, "testcase", about)
        if check.failure is not None:
            ElementTree.SubElement(case, "failure", {"message": check.failure, "type": check.group})
        elif check.undecided is not None:
            ElementTree.SubElement(case, "skipped", {"message": check.undecided})
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def judged(run: Path, fail_on: Collection[str], drop_at_least: float = 0.0, report: Path | None = None) -> list[Check]:
    """See `checks`; the file `report` gets them.

    Raises:
        InputError: see `checks`.
        StorageError: the file cannot be written.
    """
    found = checks(run, fail_on, drop_at_least)
    if report is not None:
        write_text(report, junit(run, found))
    return found


def gate(run: Path, fail_on: Collection[str], drop_at_least: float = 0.0) -> list[Check]:
    """The checks that fail.

    Raises:
        InputError: see `checks`.
    """
    return [check for check in checks(run, fail_on, drop_at_least) if check.failure is not None]


def failed_conditions(found: Iterable[Check]) -> dict[str, int]:
    """Condition -> number of checks that fail it."""
    counts = Counter(condition for check in found for condition in check.conditions)
    return {condition: counts[condition] for condition in CONDITIONS if condition in counts}


def verdict(run: Path, found: Collection[Check], fail_on: Collection[str]) -> list[str]:
    """What was judged and what came of it, a sentence each, so that passing is told from judging nothing."""
    groups = Counter(check.group for check in found)
    statuses = Counter(str(each["status"]) for each in read_json(run / "findings.json")["findings"])
    listed = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items())) or "none"
    undecided = sum(check.undecided is not None for check in found)
    said = [
        f"Run {run.name} of {dataset_of(run)}: {_number(groups['finding'], 'finding')} ({listed})",
        f"{_number(groups['metric'] + groups['drift'], 'comparison')} with an earlier audit",
        *([f"{undecided} of them with too few patients to say"] if undecided else []),
    ]
    return [f"{', '.join(said)}.", _came_of_it(found, fail_on)]


def _came_of_it(found: Collection[Check], fail_on: Collection[str]) -> str:
    if not fail_on:
        return f"Nothing can fail without a condition: give --fail-on {', '.join(CONDITIONS[:-1])} or {CONDITIONS[-1]}."
    failed = failed_conditions(found)
    told = (f"{each} ({_number(failed[each], 'check')})" for each in failed)
    passed = [each for each in CONDITIONS if each in fail_on and each not in failed]
    sentences = [f"Failed: {', '.join(told)}."] if failed else []
    return " ".join([*sentences, *([f"Passed: {', '.join(passed)}."] if passed else [])])


def _finding(finding: dict[str, Any], fail_on: Collection[str]) -> Check:
    # Its title may quote words that are printed on the images, which a CI server need not know.
    status, name = finding["status"], f"{finding['id']} {finding['kind']} ({finding['class']})"
    levels: tuple[Condition, ...] = ("confirmed", "suspected")
    failed = tuple(each for each in levels if each in fail_on and status in AT_LEAST[each])
    return Check("finding", name, _WHY[status] if failed else None, conditions=failed)


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _rows(run: Path, fail_on: Collection[str]) -> list[dict[str, Any]]:
    drift = read_json(run / "drift.json") if (run / "drift.json").exists() else {"baseline": None, "rows": []}
    rows: list[dict[str, Any]] = drift["rows"]
    if not _NEED_ACCEPTED.intersection(fail_on):
        return rows
    workspace, dataset = Workspace(run.parent.parent), dataset_of(run)
    need_accepted(workspace, dataset, fail_on)
    chosen = accepted(workspace, dataset)
    if chosen is not None and chosen.run == run.name:
        return []  # what is accepted has not drifted from itself
    if chosen is not None and (drift["baseline"] or {}).get("run") != chosen.run:
        raise InputError(
            f"Run {run.name} was not compared with the accepted audit {chosen.run}. Repeat its audit: what did not "
            "change is not computed again. An audit of other classes cannot be compared; accept one of the same."
        )
    return rows


def _row(row: dict[str, Any], fail_on: Collection[str], drop_at_least: float) -> Check:
    from pipeline.drift import SHIFTED, TOO_FEW, change_words, row_title

    is_metric, change = row["about"] == "metric", row["difference"]
    if row["verdict"] == TOO_FEW:
        return Check("metric" if is_metric else "drift", row_title(row), undecided=TOO_FEW)
    dropped = change["high"] is not None and change["high"] < 0 and -change["mean"] >= drop_at_least
    met: dict[Condition, bool] = {"metric-drop": is_metric and dropped, "drift": row["verdict"] == SHIFTED}
    failed = tuple(each for each, fails in met.items() if fails and each in fail_on)
    why = change_words(row) if failed else None
    return Check("metric" if is_metric else "drift", row_title(row), why, conditions=failed)


def _texts(rows: list[dict[str, Any]], fail_on: Collection[str]) -> list[Check]:
    """One check a class for all that is printed on its images: CI servers need not know the words."""
    from pipeline.drift import SHIFTED, TOO_FEW

    found = []
    for name in sorted({str(row["class"]) for row in rows}):
        verdicts = [row["verdict"] for row in rows if str(row["class"]) == name]
        shifted, undecided = verdicts.count(SHIFTED), TOO_FEW if set(verdicts) == {TOO_FEW} else None
        failed: tuple[Condition, ...] = ("drift",) if shifted and "drift" in fail_on else ()
        why = f"{shifted} of {_number(len(verdicts), 'printed text')} shifted" if failed else None
        found.append(Check("drift", f"printed texts, {name}", why, undecided, failed))
    return found
