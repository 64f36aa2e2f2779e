"""What the numbers of a profile mean, in words and as records that can become findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import pandas as pd

from pipeline.flag.profile.association import wilson
from pipeline.flag.profile.roles import REST
from pipeline.types import FindingStatus

GIVES_AWAY: Final = 0.9
TELLS_MUCH: Final = 0.7
TELLS_SOMETHING: Final = 0.55
"""Low end of the AUROC's interval from which a column is said to do so."""
FDR: Final = 0.05
FEW_PATIENTS: Final = 20
"""With fewer patients of the positive class, or of the rest, nothing stronger than "tells something" is said."""

Strength = Literal["gives away", "tells much", "tells something", "nothing certain"]
STRENGTHS: Final[tuple[Strength, ...]] = ("gives away", "tells much", "tells something", "nothing certain")
Numbers = dict[str, Any]
"""{mean, low, high, n}, null where unknown."""

FAMILY_WORDS: Final = {"source": "the origin", "container": "the file container", "metadata": "the metadata"}
"""Container: size, file and pixel format. Metadata: patient, view and device."""


def strength(auroc: Numbers | None, q: float, patients: int) -> Strength:
    """How much a column tells.

    Args:
        auroc: cross-validated.
        q: of the permutation test.
        patients: of the smaller of the positive class and the rest.
    """
    low = auroc["low"] if auroc else None
    if low is None or q > FDR or low < TELLS_SOMETHING:
        return "nothing certain"
    if low < TELLS_MUCH or patients < FEW_PATIENTS:
        return "tells something"
    return "gives away" if low >= GIVES_AWAY else "tells much"


def column_record(
    row: Mapping[str, Any], levels: pd.DataFrame, positive: str, patients: int, classes: Sequence[str]
) -> dict[str, Any]:
    """The record of one column.

    Args:
        row: of the association table, unknown numbers None.
        levels: rows of the level table about it.
        positive: the class it is about.
        patients: of the smaller of the positive class and the rest.
        classes: the classes that the association is over.
    """
    name, n = str(row["column"]), int(row["n"])
    auroc = numbers(row, "auroc", n) if row["auroc"] is not None else None
    prevalence = _prevalence(levels, positive)
    association = {
        "auroc": auroc,
        "cramers_v": numbers(row, "cramers_v", n),
        "mutual_information": numbers(row, "mutual_information", n),
        "label_entropy_share": row["label_entropy_share"],
        "raw_auroc": numbers(row, "raw_auroc", round(n * (1 - row["missing_share"]))) if row["numeric"] else None,
        "missing_auroc": numbers(row, "missing_auroc", n) if row["missing_auroc"] is not None else None,
        "missing_share": row["missing_share"],
        "p": row["p_value"],
        "q": row["q_value"],
        "test": "labels exchanged between patients",
        "classes": list(classes),
        "value": prevalence,
    }
    grade = strength(auroc, row["q_value"], patients)
    return _record(name, [name], positive, association, grade, _said(row, association, grade))


def family_record(row: Mapping[str, Any], positive: str, patients: int) -> dict[str, Any]:
    """The record of several columns together; `row` as `profile.classify` makes it."""
    columns = list(row["columns"])
    association = {"auroc": row["auroc"], "columns": columns, "p": row["p"], "q": row["q"]} | {
        "test": "labels exchanged between patients, scores kept"
    }
    grade = strength(row["auroc"], row["q"], patients)
    return _record(str(row["family"]), columns, positive, association, grade, "")


def numbers(row: Mapping[str, Any], name: str, n: int) -> Numbers:
    """{mean, low, high, n} of one measure of a row."""
    return {"mean": row[name], "low": row[f"{name}_low"], "high": row[f"{name}_high"], "n": n}


def ranked(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The strongest first; of equal strength the largest lower end, then several columns before one of them."""
    return sorted(
        records,
        key=lambda record: (
            STRENGTHS.index(record["strength"]),
            -_low(record),
            -len(record["columns"]),
            record["kind"],
        ),
    )


def verdict(records: Sequence[Mapping[str, Any]], splits: Sequence[Mapping[str, Any]], positive: str) -> list[str]:
    """The profile in sentences: what gives the label away, then what splits tear apart."""
    telling = [record for record in records if record["strength"] in STRENGTHS[:3]]
    sentences = [f"{record['title']}: AUROC {shown(record['association']['auroc'])}." for record in telling]
    if not sentences:
        best = next((record["association"]["auroc"] for record in records if record["association"]["auroc"]), None)
        strongest = f": the strongest column reaches AUROC {shown(best)}" if best else ""
        sentences = [f"Nothing in the table tells {positive} from the rest for certain{strongest}."]
    if not records:
        sentences = [
            "The table has no column that could give the label away; those left out are listed with the reason."
        ]
    for check in splits:
        if check["kind"] == "problem" and check["groups"]:
            counts = f"{check['groups']:,} ({check['rows']:,} of the rows)"
            sentences.append(f"{check['check'].capitalize()}: {counts}; {check['meaning']}.")
    return sentences


def shown(value: Mapping[str, Any] | None, digits: int = 2) -> str:
    """``0.97 (0.95 to 0.98), N = 1,398``, or a dash."""
    if not value or value["mean"] is None:
        return "–"
    if value["low"] is None:
        return f"{value['mean']:.{digits}f}, N = {value['n']:,}"
    return f"{value['mean']:.{digits}f} ({value['low']:.{digits}f} to {value['high']:.{digits}f}), N = {value['n']:,}"


def _record(
    name: str, columns: Sequence[str], positive: str, association: dict[str, Any], grade: Strength, said: str
) -> dict[str, Any]:
    status: FindingStatus = "not-confirmed" if grade == "nothing certain" else "suspected"
    what = name if len(columns) == 1 else f"{FAMILY_WORDS[name]} ({', '.join(columns)})"
    auroc = association["auroc"]
    told = (
        f"By {', '.join(columns)} alone {positive} is told from the rest with AUROC {shown(auroc)}, cross-validated by "
        f"patient, q = {association['q']:.2g}."
        if auroc
        else f"Too few patients to say how well {', '.join(columns)} tells {positive} from the rest."
    )
    return {
        "kind": f"table/{name}",
        "text": None,
        "class": positive,
        "columns": list(columns),
        "title": _title(what, positive, grade),
        "summary": f"{told} {said}".strip(),
        "association": association,
        "strength": grade,
        "status": status,
        "examples": [],
    }


def _title(what: str, positive: str, grade: Strength) -> str:
    match grade:
        case "gives away":
            return f"{_start(what)} alone gives the label away"
        case "tells much":
            return f"{_start(what)} alone tells much about the label"
        case "tells something":
            return f"{_start(what)} tells something about the label"
        case _:
            return f"No sign that {what} tells {positive} from the rest"


def _start(words: str) -> str:
    """Families start a sentence; names of columns stay as they are."""
    return words.replace("the ", "The ", 1) if words.startswith("the ") else words


def _said(row: Mapping[str, Any], association: Mapping[str, Any], grade: Strength) -> str:
    value, missing = association["value"], association["missing_auroc"]
    parts = []
    if value:
        shares = ", ".join(f"{_percent(share)} of {name}" for name, share in value["prevalence"].items())
        parts.append(f"It is {value['text']} in {shares}.")
    share = association["label_entropy_share"]
    parts.append(
        f"Cramér's V {shown(association['cramers_v'])} (by chance {row['cramers_v_chance']:.2f}); mutual information "
        f"{association['mutual_information']['mean']:.2f} bits, {share:.0%} of what there is to know of the label."
    )
    if missing and grade != "nothing certain" and missing["low"] >= TELLS_SOMETHING:
        parts.append(f"Already whether it is missing tells the label: AUROC {shown(missing)}.")
    return " ".join(parts)


def _prevalence(levels: pd.DataFrame, positive: str) -> dict[str, Any] | None:
    """The value whose frequency differs most between the positive class and the rest."""
    rows: list[dict[str, Any]] = [{str(name): cell for name, cell in row.items()} for row in levels.to_dict("records")]
    if not rows:
        return None
    row = max(rows, key=lambda row: abs(row["marked"] / row["total"] - row["marked_other"] / row["total_other"]))
    ratio = {"mean": row["odds_ratio"], "low": row["odds_low"], "high": row["odds_high"]}
    return {
        "text": str(row["value"]),
        "prevalence": {
            positive: _share(row["marked"], row["total"]),
            REST: _share(row["marked_other"], row["total_other"]),
        },
        "odds_ratio": ratio | {"n": row["total"] + row["total_other"]},
    }


def _share(part: int, total: int) -> Numbers:
    low, high = wilson(part, total)
    return {"mean": part / total, "low": low, "high": high, "n": total}


def _percent(share: Numbers) -> str:
    return f"{share['mean']:.0%} ({share['low']:.0%} to {share['high']:.0%}, N = {share['n']:,})"


def _low(record: Mapping[str, Any]) -> float:
    auroc = record["association"]["auroc"]
    return float(auroc["low"]) if auroc and auroc["low"] is not None else -1.0
