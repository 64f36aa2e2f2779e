"""Pasting marks under a classifier that reads one square: what it reads flips the class, a decoy does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.config import FlagConfig
from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.flag.behaviour.pairs import choose_pairs
from pipeline.flag.behaviour.summaries import transplant_summary
from pipeline.flag.behaviour.transplant import transplant
from pipeline.types import StoreTransform

SIZE, COUNT = 64, 16
CLASSES = ("rest", "covid")
SPEC = ModelSpec("token", CLASSES, (SIZE, SIZE), mean=0.0, std=1.0)
TOKEN, DECOY = (8.0, 8.0, 24.0, 20.0), (60.0, 100.0, 76.0, 112.0)  # original pixels; stored 12..20 x 4..10
BAND = (0.0, 120.0, 96.0, 128.0)


class Token(nn.Module):
    """Logit of covid: 8·(mean of the token's square − 0.5)."""

    def forward(self, images: Tensor) -> Tensor:
        score = 8 * (images[:, 0, 4:10, 12:20].mean(dim=(1, 2)) - 0.5)
        return torch.stack([torch.zeros_like(score), score], dim=1)


class Band(nn.Module):
    """Logit of covid: high where the lowest rows are dark."""

    def forward(self, images: Tensor) -> Tensor:
        score = 20 * (0.15 - images[:, 0, 60:, 8:56].mean(dim=(1, 2)))
        return torch.stack([torch.zeros_like(score), score], dim=1)


@pytest.fixture
def dataset(tmp_path: Path) -> DatasetVersion:
    """Odd images are covid and carry token, decoy and a dark band below."""
    place = StoreTransform.fit(96, 128, SIZE)
    facts = {"width": 96, "height": 128, "scale": place.scale, "pad_x": place.pad_x, "pad_y": place.pad_y}
    table = pd.DataFrame([{**dict.fromkeys(IMAGE_COLUMNS), **facts, "split": "test"} for _ in range(COUNT)])
    table["image_id"] = [f"id{n:02d}" for n in range(COUNT)]
    table["label"] = [CLASSES[n % 2] for n in range(COUNT)]
    pixels = np.zeros((COUNT, SIZE, SIZE))
    for n in range(COUNT):
        pixels[n, :, 8:56] = 0.3 + 0.003 * np.random.default_rng(n).standard_normal((SIZE, 48))
        if n % 2:
            pixels[n, 4:10, 12:20] = pixels[n, 50:56, 38:46] = 0.9
            pixels[n, 60:, 8:56] = 0
    with write_version(tmp_path / "v", SIZE, "uint8") as writer:
        writer.write_shard(0, table, (pixels * 255).round().astype(np.uint8))
        writer.finish(DatasetMeta("t", "v", "T", CLASSES, "covid", SIZE, "uint8"), table, 1)
    return DatasetVersion(tmp_path / "v")


def marked(*kinds: tuple[str, tuple[float, ...]], images: range = range(1, COUNT, 2)) -> pd.DataFrame:
    rows = [(f"{kind}{n}", f"id{n:02d}", kind, None, *box) for n in images for kind, box in kinds]
    return pd.DataFrame(rows, columns=["region_id", "image_id", "kind", "text", "x0", "y0", "x1", "y1"])


def run(dataset: DatasetVersion, regions: pd.DataFrame, model: nn.Module, **options: object) -> pd.DataFrame:
    config = FlagConfig(**{key: value for key, value in options.items() if key != "out"})
    return transplant(model.eval(), SPEC, dataset, regions, config, seed=1, classes=CLASSES, out=options.get("out"))


def test_what_is_read_flips_the_class_and_a_decoy_does_not(dataset: DatasetVersion) -> None:
    found = run(dataset, marked(("side", TOKEN), ("date", DECOY)), Token())
    assert set(found["class"]) == {"covid"}  # no image of the other class has a mark to give
    assert set(found["label"]) == {"rest"}
    side, date = (found[found["kind"] == kind] for kind in ("side", "date"))
    assert len(side) == len(date) == COUNT // 2
    assert side["image_id"].is_unique
    assert side["flip"].all()
    assert side["logit_effect"].to_numpy(float) == pytest.approx(8 * 0.6, abs=0.3)
    assert (side["logit_control_mean"].abs() < 0.3).all()
    assert (side["control_flip_rate"] == 0).all()
    assert (date["effect"] == 0).all()
    assert not date["flip"].any()
    assert found["passes"].tolist() == [10] * len(found)


def test_the_summary_confirms_by_either_scale(dataset: DatasetVersion) -> None:
    found = run(dataset, marked(("side", TOKEN), ("date", DECOY)), Token())
    date, side = transplant_summary(found.sample(frac=1, random_state=0), seed=0)
    assert (side["kind"], side["class"], side["tested"], side["looks"]) == ("side", "covid", 8, 1)
    assert side["excess"]["low"] > 0.7
    assert side["logit_excess"]["low"] > 4
    assert side["flip_rate"]["mean"] == 1
    assert side["q"] <= 0.05 < date["q"]
    assert transplant_summary(found, seed=0) == [date, side]


def test_the_ink_moves_and_the_background_stays(dataset: DatasetVersion) -> None:
    from pipeline.flag.behaviour import graft

    donor, recipient = dataset.tensor([1])[0, 0].numpy(), dataset.tensor([0])[0, 0].numpy()
    job = graft.Graft(Token(), SPEC, dataset, {"id01": marked(("side", TOKEN), images=range(1, 2))}, FlagConfig(), 0)
    group = job._group(1, "side")
    reason, patches = job._patches(1, group)
    assert reason is None
    assert len(patches) == 1 + 8
    pasted = graft._paste(recipient, [job._target(1, 0, box) for box in group.boxes], patches[0], "side")
    assert pasted[4:10, 12:20] == pytest.approx(donor[4:10, 12:20], abs=0.1)
    outside = np.ones((SIZE, SIZE), dtype=bool)
    outside[2:12, 10:22] = False
    assert (pasted[outside] == recipient[outside]).all()
    rim = ~outside
    rim[4:10, 12:20] = False
    assert np.abs(pasted - recipient)[rim].max() < 0.1  # the dilated rim carries no ink


def test_a_border_is_copied_whole(dataset: DatasetVersion) -> None:
    found = run(dataset, marked(("border", BAND)), Band())
    assert found["flip"].all()
    assert (found["control_flip_rate"] == 0).all()


def test_a_taken_place_is_counted_not_tested(dataset: DatasetVersion) -> None:
    rest = marked(("word", TOKEN), images=range(0, 4, 2))
    found = run(dataset, pd.concat([marked(("side", TOKEN)), rest]), Token())
    side = found[(found["kind"] == "side") & (found["class"] == "covid")].set_index("image_id")
    assert side["reason"].dropna().to_dict() == {"id00": "place taken", "id02": "place taken"}
    assert side.loc[["id00", "id02"], ["effect", "flip", "p_value", "q"]].isna().all(axis=None)
    (summary,) = [each for each in transplant_summary(found, 0) if (each["kind"], each["class"]) == ("side", "covid")]
    assert (summary["tested"], summary["untestable"], summary["reasons"]) == (6, 2, {"place taken": 2})


def test_a_false_detection_has_nothing_to_cut(dataset: DatasetVersion) -> None:
    empty = marked(("glyph", (40.0, 40.0, 56.0, 52.0)))
    assert set(run(dataset, empty, Token())["reason"]) == {"nothing to cut"}


def test_pairs_are_bounded_repeatable_and_cross_classes(dataset: DatasetVersion) -> None:
    regions = marked(("side", TOKEN))
    pairs = choose_pairs(dataset, regions, CLASSES, 4, 3)
    assert len(pairs) == 4
    assert pairs == choose_pairs(dataset, regions.iloc[::-1], CLASSES, 4, 3)
    assert len({pair.donor for pair in pairs}) == len({pair.recipient for pair in pairs}) == 4
    assert {pair.target for pair in pairs} == {"covid"}


def test_only_images_looked_at_and_kinds_asked_for_take_part(dataset: DatasetVersion) -> None:
    regions = pd.concat([marked(("side", TOKEN), ("date", DECOY)), marked(("word", TOKEN), images=range(0, 4, 2))])
    pairs = choose_pairs(dataset, regions, CLASSES, 99, 3, looked_at=np.arange(2, 10), kinds=["side"])
    assert {pair.kind for pair in pairs} == {"side"}
    assert {pair.recipient for pair in pairs} == {2, 4, 6, 8}
    assert {pair.donor for pair in pairs} <= {3, 5, 7, 9, None}
    assert [pair.recipient for pair in pairs if pair.donor is None] == [2]  # the word, not asked for, is in the way


def test_an_interrupted_run_resumes_to_the_same_table(dataset: DatasetVersion, tmp_path: Path) -> None:
    regions = marked(("side", TOKEN), ("date", DECOY))
    first = run(dataset, regions, Token(), out=tmp_path / "c", first_look=8)
    assert len(list((tmp_path / "c").glob("*.parquet"))) == 2
    pd.testing.assert_frame_equal(first, run(dataset, regions, Token(), out=tmp_path / "c", first_look=8))
    pd.testing.assert_frame_equal(first, run(dataset, regions, Token(), first_look=8))


def test_no_regions_give_an_empty_table(dataset: DatasetVersion) -> None:
    found = run(dataset, marked(), Token())
    assert len(found) == 0
    assert transplant_summary(found, 0) == []
