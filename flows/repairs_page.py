"""A ranking of repairs as a table, in Markdown, and as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Line = tuple[str, ...]

TESTS = {
    "raw": "raw",
    "cleansed": "cleansed",
    "marker_swapped": "marker-swapped",
    "other_source": "other source",
}
"""Short titles of the test conditions."""
_HELPS = {"yes": "helps", "unclear": "not certain", "harms": "harms"}


def table(result: Mapping[str, Any]) -> list[Line]:
    """Header, repairs from the best, and the baseline: gain, what it says, AUROC on every test condition.

    Args:
        result: repairs.json.
    """
    from pipeline.report.verdict import change, interval

    conditions = [name for name in TESTS if name in result["comparison"]["conditions"]]
    header = ("", "repair", "gives back", "says", "against next", *(f"AUROC {TESTS[name]}" for name in conditions))

    def aurocs(arm: str) -> Line:
        return tuple(interval(result["comparison"]["conditions"][name][arm]["auroc"]) for name in conditions)

    lines: list[Line] = [header]
    for line in result["ranking"]["ranking"]:
        name = f"{line['repair']} (control)" if line["is_control"] else line["repair"]
        following = "–" if line["to_next"] is None else change(line["to_next"])
        if line["tied_with_next"]:
            following += ", tied"
        lines.append(
            (str(line["rank"]), name, change(line["gain"]), _HELPS[line["helps"]], following, *aurocs(line["repair"]))
        )
    baseline = result["ranking"]["baseline"]
    return [*lines, ("–", baseline, "–", "–", "–", *aurocs(baseline))]


def markdown(result: Mapping[str, Any]) -> str:
    """repairs.md: what was found in sentences, then the table, then what the numbers are."""
    lines = table(result)
    rows = [" | ".join(line) for line in (lines[0], ("---",) * len(lines[0]), *lines[1:])]
    sentences = "\n".join(f"* {sentence}" for sentence in result["words"])
    return (
        "\n\n".join(
            [
                f"# Repairs of {result['dataset']}",
                sentences,
                "\n".join(f"| {row} |" for row in rows),
                method(result),
            ]
        )
        + "\n"
    )


def method(result: Mapping[str, Any]) -> str:
    """How the numbers came about, in sentences."""
    ranking, train = result["ranking"], result["train"]
    counts = "; ".join(
        f"{TESTS[name]} {found['n']:,} images of {found['patients']:,} patients"
        for name, found in result["comparison"]["conditions"].items()
    )
    decides = " and ".join(TESTS[name] for name in ranking["conditions"])
    return " ".join(
        [
            f"Every repair: {train['network']} at {train['input_size']} pixels trained from the same",
            f"{len(result['seeds'])} seeds, at most {train['epochs']} epochs. Gives back: AUROC of",
            f"{result['comparison']['positive']} minus that of {ranking['baseline']}, the mean over {decides}.",
            f"Intervals: {ranking['interval']['confidence']:.0%}, {ranking['interval']['resamples']:,} resamples; of",
            f"gains {ranking['interval']['method']}, of AUROCs {result['comparison']['interval']['method']}. Tied: the",
            "interval of the difference to the next line holds 0, so the order of the two says nothing. No interval is",
            "corrected for how many repairs were compared. Crops, black-outs and grey levels belong to the classifier",
            "and are done to every test image; fills are not, for a hospital's images come with their marks.",
            f"Tests: {counts}.",
        ]
    )


def render_repairs(result: Mapping[str, Any]) -> str:
    """The page as HTML text; every string is escaped.

    Args:
        result: repairs.json.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader("flows"), PackageLoader("pipeline.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    lines = table(result)
    return environment.get_template("repairs.html.j2").render(
        result=result,
        header=lines[0],
        lines=lines[1:],
        bars=bars(result["ranking"]["ranking"]),
        made=[_made(each) for each in result["repairs"]],
        method=method(result),
    )


def bars(ranking: list[dict[str, Any]]) -> dict[str, Any]:
    """Places of dots and whiskers in a drawing 100 wide, and of zero; lines without an interval are left out."""
    known = [line for line in ranking if line["gain"]["low"] is not None]
    ends: list[float] = [value for line in known for value in (line["gain"]["low"], line["gain"]["high"])]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    width = (high - low) or 1.0

    def place(value: float) -> float:
        return round(2 + 96 * (value - low) / width, 2)

    return {
        "zero": place(0.0),
        "lines": [
            {"repair": line["repair"], "helps": line["helps"]}
            | {name: place(line["gain"][name]) for name in ("low", "mean", "high")}
            for line in known
        ],
    }


def _made(each: Mapping[str, Any]) -> tuple[str, str, str]:
    """Name, actions and counts of one repair."""
    actions = ", then ".join(_action(action) for action in each["actions"]) or "nothing"
    counts = [
        ", ".join(f"{name.replace('_', ' ')} {_count(value)}" for name, value in fact.items() if name not in _NAMED)
        for fact in each["facts"]
    ]
    training = ", ".join(f"{name} {value}" for name, value in each["options"].items())
    return each["name"], actions, "; ".join(filter(None, [*counts, training])) or "–"


_NAMED = ("action", "version")


def _action(action: Mapping[str, Any]) -> str:
    options = ", ".join(f"{name} {value}" for name, value in action.items() if name != "action" and value is not None)
    return f"{action['action']} ({options})" if options else str(action["action"])


def _count(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{count:,} {name}" for name, count in value.items())
    return f"{value:,}"
