"""Which audit a new one goes on from, who hands it what, and what it calls new."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from flows.growing import Growth, Known, earlier_audits, followed, read_known
from flows.history import ended, remember
from flows.keys import Keys
from flows.tasks.grown import news
from flows.workspace import Workspace
from pipeline.artifacts import RunFolder, write_json
from pipeline.config import AuditConfig, audit_config
from pipeline.report.news import news_sentences

CONFIG = audit_config("quick")


class Audits:
    """A workspace with ledgers of audits that ended, as far as growing asks."""

    def __init__(self, path: Path) -> None:
        self.workspace = Workspace(path)

    def add(
        self,
        name: str,
        weights: str = "w",
        config: AuditConfig = CONFIG,
        dtype: str = "uint8",
        ends: bool = True,
        family: str = f"study-{CONFIG.train.network}",
    ) -> Known:
        dataset = self.workspace.datasets / "study" / f"v{name}"
        write_json(dataset / "meta.json", {"size": 64, "dtype": dtype})
        (self.workspace.models / family / weights).mkdir(parents=True, exist_ok=True)
        request: dict[str, Any] = {
            "dataset": f"study/v{name}",
            "bundle": f"{family}/{weights}",
            "weights": weights,
            "config": config.model_dump(mode="json"),
        }
        folder = RunFolder(self.workspace.runs / name, request)
        keys = Keys(folder, dataset, self.workspace.models / family / weights, config)
        for artifact in ("predictions.parquet", "regions.parquet", "effects.parquet", "saliency"):
            write_json(folder.path / artifact, f"{artifact} of {name}")
            folder.record(artifact, keys(artifact))
        if ends:
            remember(folder.path, "study")
        known = read_known(folder.path)
        assert known is not None
        return known

    def growth(self, now: Known, since: Known) -> Growth:
        growth = Growth.of(now.run, since)
        assert growth is not None
        return growth


@pytest.fixture
def audits(tmp_path: Path) -> Audits:
    return Audits(tmp_path)


def names(workspace: Workspace) -> list[str]:
    return [run.name for run in ended(workspace, "study")]


def test_the_newest_is_the_one_that_ended_last(audits: Audits) -> None:
    first, _, third = (audits.add(name) for name in "abc")
    assert names(audits.workspace) == ["c", "b", "a"]
    remember(first.run, "study")
    assert names(audits.workspace) == ["a", "c", "b"]
    (third.run / "run.json").unlink()
    assert names(audits.workspace) == ["a", "b"]
    assert ended(audits.workspace, "another") == []


def test_an_audit_follows_one_that_read_split_and_trained_alike(audits: Audits) -> None:
    training = audit_config("quick", {"train": {"epochs": 9}})
    splitting = audit_config("quick", {"ingest": {"test_fraction": 0.3}})
    flagging = audit_config("quick", {"flag": {"images": 7}})
    oldest = audits.add("a", config=flagging)
    audits.add("b", config=splitting)
    newest = audits.add("c", config=training)
    another = audits.add("d", family="adopted")
    found = earlier_audits(audits.workspace, "study")
    assert followed(found, CONFIG, retrained=True) == oldest, "a classifier from elsewhere was not trained alike"
    assert followed(found, CONFIG, retrained=False) == another, "with a classifier given, training does not matter"
    assert followed(found[1:], CONFIG, retrained=False) == newest
    assert followed(found, audit_config("quick", {"seed": 5}), retrained=False) is None


def test_results_come_from_the_newest_audit_for_which_they_hold(audits: Audits) -> None:
    same, other = audits.add("a"), audits.add("b", weights="x")
    growth = audits.growth(audits.add("now", ends=False), other)
    assert growth.donor("predictions.parquet") == growth.donor("saliency") == same
    assert growth.donor("regions.parquet") == other
    assert growth.donor("findings.json") is None
    write_json(other.run / "regions.parquet", "damaged")
    assert growth.donor("regions.parquet") == same


@pytest.mark.parametrize(
    "changed",
    [{"mask_size": 14}, {"methods": ["grad-cam"]}, {"options": {"grad-cam": {"layer": "x"}}}],
)
def test_maps_of_other_settings_are_not_taken_over(audits: Audits, changed: dict[str, Any]) -> None:
    since = audits.add("a")
    now = audits.add("now", config=audit_config("quick", {"explain": changed}), ends=False)
    assert audits.growth(now, since).donor("saliency") is None
    assert audits.growth(now, since).donor("regions.parquet") == since


def test_maps_that_depend_on_other_images_are_not_taken_over(audits: Audits) -> None:
    config = audit_config("quick", {"explain": {"methods": ["expected-gradients"]}})
    since = audits.add("a", config=config)
    assert audits.growth(audits.add("now", config=config, ends=False), since).donor("saliency") is None


def test_more_maps_are_a_reason_to_take_over_those_there_are(audits: Audits) -> None:
    since = audits.add("a")
    now = audits.add("now", config=audit_config("quick", {"explain": {"images": 99, "batch_size": 1}}), ends=False)
    assert audits.growth(now, since).donor("saliency") == since


def test_nothing_is_taken_over_from_another_kind_of_store_or_other_code(
    audits: Audits, monkeypatch: pytest.MonkeyPatch
) -> None:
    since = audits.add("a", dtype="uint16")
    growth = audits.growth(audits.add("now", ends=False), since)
    assert growth.donor("regions.parquet") is None
    since = audits.add("b")
    growth = audits.growth(growth.audited, since)
    assert growth.donor("regions.parquet") == since
    monkeypatch.setattr("flows.keys.code_version", lambda *parts: "newer")
    assert growth.donor("regions.parquet") is None


def test_an_audit_that_ended_before_has_nothing_new(audits: Audits) -> None:
    since = audits.add("a")
    assert Growth.of(since.run, since) is None


def table(rows: list[tuple[str, str, str, str, str | None]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["image_id", "path", "label", "split", "patient_id"]).assign(source="s")


def test_news_tells_new_changed_and_gone_apart() -> None:
    before = table(
        [
            ("1", "a", "x", "train", "p1"),
            ("2", "b", "x", "test", None),
            ("3", "c", "y", "val", "p2"),
            ("4", "d", "y", "test", "p4"),
        ]
    )
    now = table(
        [
            ("1", "renamed", "y", "train", "p1"),
            ("20", "b", "x", "test", None),
            ("4", "d", "y", "train", "p4"),
            ("5", "e", "y", "train", "p3"),
        ]
    )
    now.loc[3, "source"] = "t"
    found = news(now, before)
    assert found["images"] == {"new": 1, "changed": 1, "gone": 1, "unchanged": 2, "relabelled": 1, "moved": 1}
    assert (found["new"], found["changed"], found["gone"]) == (["5"], ["20"], ["3"])
    assert (found["new_patients"], found["new_sources"], found["by_class"]) == (1, ["t"], {"x": 1, "y": 1})
    words = news_sentences({**found, "since": {"run": "r"}})
    assert words[0] == "Since run r: 1 new images, 1 changed, 1 gone, 2 as they were."
    assert "New sources: t." in words
    assert news_sentences(None) == []


def test_equal_tables_have_no_news() -> None:
    same = table([("1", "a", "x", "train", "p1")])
    found = news(same, same)
    assert found["images"]["unchanged"] == 1
    assert sum(found["images"].values()) == 1
