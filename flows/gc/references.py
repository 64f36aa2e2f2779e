"""What a run or a version refers to: as long as it is kept, these are kept as well."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from flows.gc.things import Thing
from flows.workspace import Workspace
from pipeline.artifacts import read_json
from pipeline.errors import InputError
from pipeline.ingest.manifest_yaml import YamlDocument

_OWN_INPAINTER = re.compile(r"learned:([^\s\"']+)")
_PLANS = ("plan.yaml", "repairs/plan.yaml")
_COMPARED = ("comparison.json", "evaluations.parquet")


class References:
    """The references among the things of one workspace."""

    def __init__(self, workspace: Workspace, things: Iterable[Thing]) -> None:
        self._workspace = workspace
        self._things = list(things)

    def of(self, thing: Thing) -> set[Path]:
        """What `thing` needs, there or not."""
        match thing.kind:
            case "run":
                return set(self._of_run(thing.path))
            case "data set":
                return set(self._of_version(thing.path))
        return set()

    def derived(self, version: Path) -> set[Path]:
        """Versions that were made of `version`, directly or not, and every classifier trained on one of them."""
        family, added = {version}, {version}
        while added:
            added = {path for path, parent in self._parents.items() if parent in added} - family
            family |= added
        return family | {path for each in family for path in self._trained_on(each)}

    def trained_on(self, bundle: Path) -> Path | None:
        """The version that a classifier was trained on; None where its record does not say."""
        return self._trainings.get(bundle)

    def _of_run(self, run: Path) -> Iterator[Path]:
        if not (run / "run.json").exists():
            return
        request = read_json(run / "run.json")["request"]
        dataset = self._workspace.datasets / request["dataset"]
        yield dataset
        yield self._workspace.models / request["bundle"]
        versions = [dataset.parent / name for name in _there(run / "versions.json").values()]
        yield from versions
        if any((run / name).exists() for name in _COMPARED):
            yield from (bundle for version in (dataset, *versions) for bundle in self._trained_on(version))
        for repair in _there(run / "repairs.json").get("repairs", []):
            yield from (dataset.parent / name for name in (repair["training"], *repair["tests"].values()))
            yield from (bundle for name in repair["bundles"] for bundle in self._workspace.models.glob(f"*/{name}"))
        for plan in (run / name for name in _PLANS):
            found = _OWN_INPAINTER.findall(plan.read_text(encoding="utf-8")) if plan.exists() else ()
            yield from (self._workspace.models / name for name in found)
        baseline = _there(run / "drift.json").get("baseline") or {}
        if baseline.get("kind") == "accepted":
            yield self._workspace.runs / baseline["run"]

    def _of_version(self, version: Path) -> Iterator[Path]:
        parent = self._parents.get(version)
        if parent is not None:
            yield parent
        manifest = version / "manifest.yaml"
        made = _manifest(manifest) if manifest.exists() else None
        if isinstance(made, dict) and made.get("generate"):
            for root in self._workspace.generated.glob("*"):
                spec = _there(root / "phantoms.json")
                if all(spec.get(key) == value for key, value in made["generate"].items()):
                    yield root

    def _trained_on(self, version: Path) -> list[Path]:
        return [bundle for bundle, dataset in self._trainings.items() if dataset == version]

    @cached_property
    def _parents(self) -> dict[Path, Path]:
        """Version -> the one it was edited from. One that has grown holds all of its predecessor and needs it not."""
        lineages = {
            each.path: _there(each.path / "lineage.json").get("parent")
            for each in self._things
            if each.kind == "data set"
        }
        return {path: path.parent / parent for path, parent in lineages.items() if parent}

    @cached_property
    def _trainings(self) -> dict[Path, Path]:
        """Classifier -> version that it was trained on."""
        records = {each.path: _there(each.path / "metrics.json") for each in self._things if each.kind == "model"}
        return {
            path: self._workspace.datasets / record["dataset"]["name"] / record["dataset"]["version"]
            for path, record in records.items()
            if isinstance(record.get("dataset"), dict)
        }


def _there(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}


def _manifest(path: Path) -> Any:
    """Its value, read as an ingest reads it: dates are text, and nothing that only a program writes is taken.

    Raises:
        InputError: it is damaged, so that nobody knows what the version needs.
    """
    try:
        return YamlDocument(path.read_text(encoding="utf-8")).value
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is not the manifest that was kept there, so nothing is deleted. See `cxr-audit verify`."
        ) from error
