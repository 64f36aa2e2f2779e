"""Whether an audit passes: the conditions of `--fail-on`, one check a finding or comparison, and the JUnit file."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from xml.etree import ElementTree

from flows.acceptance import accepted, dataset_of
from flows.mirror import refresh
from flows.results import AT_LEAST
from flows.workspace import Workspace
from pipeline.artifacts import read_json, write_text
from pipeline.errors import InputError

Condition = Literal["confirmed", "suspected", "metric-drop", "drift"]

_NEED_ACCEPTED: Final = frozenset({"metric-drop", "drift"})


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. Texts name findings, classes and metrics: no patient, image or file.

    Attributes:
        group: "finding", "metric" or "drift".
        name: unique within the group.
        failure: why it fails a condition that was asked for; None: it does not.
        undecided: why nothing can be said.
    """

    group: str
    name: str
    failure: str | None = None
    undecided: str | None = None


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
        InputError: a condition needs an accepted audit and the run was compared with none, or with another one.
    """
    from pipeline.drift import TEXT

    found = [_finding(each, fail_on) for each in read_json(run / "findings.json")["findings"]]
    rows = [row for row in _rows(run, fail_on) if row["about"] != TEXT]  # CI servers need not know printed words
    return [*found, *(_row(row, fail_on, drop_at_least) for row in rows)]


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


def gate(run: Path, fail_on: Collection[str], drop_at_least: float = 0.0, report: Path | None = None) -> list[Check]:
    """The checks that fail; the file `report` gets all of them.

    Raises:
        InputError: see `checks`.
        StorageError: the file cannot be written.
    """
    found = checks(run, fail_on, drop_at_least)
    if report is not None:
        write_text(report, junit(run, found))
    return [check for check in found if check.failure is not None]


def _finding(finding: dict[str, Any], fail_on: Collection[str]) -> Check:
    status, name = finding["status"], f"{finding['id']} {finding['kind']} ({finding['class']})"
    asked = [each for each in ("confirmed", "suspected") if each in fail_on]
    failed = any(status in AT_LEAST[each] for each in asked)
    return Check("finding", name, f"{status}: {finding['title']}" if failed else None)


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
    failed = ("metric-drop" in fail_on and is_metric and dropped) or ("drift" in fail_on and row["verdict"] == SHIFTED)
    return Check("metric" if is_metric else "drift", row_title(row), change_words(row) if failed else None)
