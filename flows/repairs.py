"""The `compare_repairs` flow: every repair of a recipe trained on the same seeds, tested alike, ranked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from prefect import flow
from prefect.artifacts import create_link_artifact
from pydantic import BaseModel, ConfigDict, Field

from flows.audit import Audited
from flows.cleansing import accepted_findings, all_regions, with_own_inpainter
from flows.cluster import spreading
from flows.console import stderr
from flows.request import Policy
from flows.review.frozen import frozen
from flows.steps import Steps
from flows.tasks import model, repair, repairs
from flows.workspace import Workspace
from pipeline.artifacts import RunFolder, code_version, content_hash, read_json, write_text
from pipeline.cleanse.repairs import BASELINE, Recipe, Repair, read_recipe
from pipeline.config import Preset, TrainConfig, audit_config, merge


class CompareRequest(BaseModel):
    """One comparison of repairs on an audited run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: Path = Field(description="folder of an audited run")
    repairs: str | None = Field(None, description="recipe file, or names of shipped repairs with commas; null: all")
    seeds: int | None = Field(None, ge=3, description="trainings a repair; null: as the run's settings say")
    preset: Preset | None = Field(None, description="train with this preset; null: as the audited classifier")
    train: dict[str, Any] = Field(default_factory=dict, description="fields of TrainConfig over those")
    accept: Policy = "none"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: int = Field(2, ge=1, le=64, description="processes for mark detection")
    cluster: str | None = Field(None, description="where the work is spread, see `AuditRequest`")


class Comparison(BaseModel):
    """What a comparison costs and is made of; known before anything is computed."""

    recipe: Recipe
    train: TrainConfig
    seeds: tuple[int, ...]

    @property
    def trainings(self) -> int:
        """Of all repairs and seeds, those that exist included."""
        return len(self.recipe.repairs) * len(self.seeds)

    @property
    def cost(self) -> str:
        """In a sentence."""
        return (
            f"{len(self.recipe.repairs)} repairs x {len(self.seeds)} seeds = {self.trainings} trainings of "
            f"{self.train.network} at {self.train.input_size} pixels, at most {self.train.epochs} epochs each; "
            "what was trained before is not trained again."
        )


class RankedRepairs(BaseModel):
    """The end of a comparison."""

    run: Path
    page: Path
    words: list[str]
    table: list[tuple[str, ...]]
    """Header and rows, as in repairs.md."""
    worked: int
    """Stages that had to work; 0 when everything was there already."""


def comparison_of(request: CompareRequest) -> Comparison:
    """What `request` asks for.

    Raises:
        InputError: the recipe cannot be used, or the run was made by another version.
        pydantic.ValidationError: a training setting out of range.
    """
    config = _audited(request).config
    base = config.train if request.preset is None else audit_config(request.preset).train
    return Comparison(
        recipe=read_recipe(request.repairs),
        train=TrainConfig.model_validate(merge(base.model_dump(), request.train)),
        seeds=tuple(config.seed + number for number in range(request.seeds or config.compare.seeds)),
    )


@flow(name="compare-repairs", description="Try several repairs over the same seeds; rank what they give back.")
def compare_repairs(request: CompareRequest) -> RankedRepairs:
    """Write repairs.json, repairs.parquet, repairs.md and repairs.html into the run.

    Raises:
        CxrAuditError: what the user gave cannot be used; the message says what to do.
    """
    audited, asked = _audited(request), comparison_of(request)
    with spreading(request.cluster, request.workers, audited.run.parent.parent), Steps() as steps:
        run, dataset = audited.run, audited.dataset
        folder = steps.open(run, read_json(run / "run.json")["request"])
        repair.freeze(run)
        accepted = _plan(audited, folder, request, steps)

        workspace = Workspace(run.parent.parent)
        made = [
            steps.told(repairs.prepare(run, dataset, audited.config, each, request.device))
            for each in asked.recipe.repairs
        ]
        bundles = _train(workspace, made, asked, request.device, steps)
        names = [_evaluate(folder, each, bundles[each.name], asked.seeds, request.device, steps) for each in made]

        record = {
            "run": run.name,
            "dataset": f"{dataset.parent.name}/{dataset.name}",
            "train": asked.train.model_dump(),
            "seeds": list(asked.seeds),
            "repairs": [
                _described(each, about, bundles[each.name])
                for each, about in zip(made, asked.recipe.repairs, strict=True)
            ],
            "notes": [repairs.plan_note(run, accepted), *_notes(made, bundles)],
        }
        code = code_version("pipeline.report", "flows.repairs_page", "flows.tasks.repairs")
        settings = audited.config.compare.model_dump()
        key = content_hash([record, settings, [folder.sha256(name) for name in names], code])
        tables = [run / name for name in names]
        steps.once(folder, "repairs.json", key, lambda: repairs.rank(run, dataset, audited.config, tables, record))
        return _publish(run, folder, key, steps)


def _audited(request: CompareRequest) -> Audited:
    return Audited.of(request.run, read_json(request.run / "run.json")["request"])


def _plan(audited: Audited, folder: RunFolder, request: CompareRequest, steps: Steps) -> dict[str, str]:
    """Regions of all images, and the plan of the comparison; returns who accepted which finding."""
    run, dataset, planned = audited.run, audited.dataset, (audited.run / "plan.yaml").exists()
    all_regions(audited, steps)
    accepted = accepted_findings(run, request.accept, frozen(run))
    config = audited.config if planned else with_own_inpainter(audited, request.device, steps)
    key = repair.plan_key(folder, config, accepted, run / "plan.yaml" if planned else None)
    steps.once(folder, repairs.PLAN, key, lambda: repairs.plan(run, dataset, config, accepted))
    return accepted


def _train(
    workspace: Workspace, made: Sequence[repairs.Made], asked: Comparison, device: str, steps: Steps
) -> dict[str, list[Path]]:
    """Bundles of every repair, one a seed; says first how many are still to be trained."""
    jobs = [(each, TrainConfig.model_validate(asked.train.model_dump() | each.options)) for each in made]
    trainings = [
        model.Training(workspace, each.training, config, seed, device, f"train {each.name} {seed}")
        for each, config in jobs
        for seed in asked.seeds
    ]
    targets = {training.target for training in trainings}
    todo = sum(not target.exists() for target in targets)
    stderr.print(f"{todo} of {len(targets)} classifiers are to be trained.", highlight=False)
    paths = iter(model.trained(trainings, steps))
    return {each.name: [next(paths) for _ in asked.seeds] for each, _ in jobs}


def _evaluate(
    folder: RunFolder, made: repairs.Made, bundles: list[Path], seeds: tuple[int, ...], device: str, steps: Steps
) -> str:
    """Name of the artifact with the predictions of one repair."""
    tests = {condition: path.name for condition, path in made.tests.items()}
    key = content_hash([made.name, [each.name for each in bundles], tests, code_version("pipeline.report", "models")])
    name = f"{repairs.FOLDER}/{made.name}.parquet"
    out = folder.path / name
    steps.once(folder, name, key, lambda: repairs.evaluate(made, bundles, list(seeds), device, out))
    return name


def _described(made: repairs.Made, about: Repair, bundles: list[Path]) -> dict[str, Any]:
    return {
        **repairs.plain(made),
        "actions": [each.model_dump() for each in about.actions],
        "is_control": any(each.action == "control" for each in about.actions),
        "bundles": [each.name for each in bundles],
        "drawn": read_json(bundles[0] / "metrics.json")["drawn"],
    }


def _notes(made: Sequence[repairs.Made], bundles: dict[str, list[Path]]) -> list[str]:
    """What a reader of the ranking must know of single repairs."""
    baseline = next(each for each in made if each.name == BASELINE)
    same = [each.name for each in made if each is not baseline and each.same_as(baseline)]
    notes = [f"On these data {', '.join(same)} changes nothing: same images, same training."] if same else []
    for each in made:
        missed = [
            f"{fact['lungs_not_found']} of {fact['images']}" for fact in each.facts if fact.get("lungs_not_found")
        ]
        if missed:
            notes.append(f"{each.name}: no lungs found on {', '.join(missed)} images; the typical place was taken.")
        alone = read_json(bundles[each.name][0] / "metrics.json")["drawn"].get("sources_of_one_class")
        if alone:
            notes.append(
                f"{each.name}: {', '.join(alone)} {'hold' if len(alone) > 1 else 'holds'} one class only and cannot be "
                "balanced: where an image comes from still gives that class away."
            )
    return notes


def _publish(run: Path, folder: RunFolder, key: str, steps: Steps) -> RankedRepairs:
    """Write table and page from repairs.json."""
    from flows.repairs_page import markdown, render_repairs, table

    result = read_json(run / "repairs.json")
    steps.once(folder, "repairs.md", key, lambda: write_text(run / "repairs.md", markdown(result)))
    steps.once(folder, "repairs.html", key, lambda: write_text(run / "repairs.html", render_repairs(result)))
    page = run / "repairs.html"
    create_link_artifact(key="repairs", link=page.as_uri(), link_text=f"Repairs of run {run.name}")
    return RankedRepairs(run=run, page=page, words=result["words"], table=table(result), worked=steps.worked)
