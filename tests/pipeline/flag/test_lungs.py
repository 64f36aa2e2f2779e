from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, derive_version, write_version
from pipeline.errors import InputError, ModelError
from pipeline.flag.lungs import load_segmenter, lung_masks, plausible_lungs
from pipeline.flag.lungs_dataset import COLUMNS, lungs_dataset, read_lungs
from pipeline.ingest.synthetic.phantom import PhantomSpec, render

SPEC = PhantomSpec(images=4, other_source_images=4, size=288, seed=99)


def ellipse(shape: tuple[int, int], x: float, y: float, width: float, height: float) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return ((columns - x) / width) ** 2 + ((rows - y) / height) ** 2 < 1


def two_lungs(side: int = 100) -> np.ndarray:
    shape = (side, side)
    return ellipse(shape, 0.3 * side, 0.5 * side, 0.14 * side, 0.3 * side) | ellipse(
        shape, 0.7 * side, 0.5 * side, 0.14 * side, 0.3 * side
    )


def as_probability(mask: np.ndarray) -> np.ndarray:
    return np.where(mask, 0.95, 0.05).astype(np.float32)


def test_two_largest_parts_are_kept_and_their_holes_filled() -> None:
    lungs = two_lungs()
    seen = lungs.copy()
    seen[48:52, 28:32] = False  # a hole
    seen[2:12, 2:12] = True  # a bright corner, smaller than a lung
    assert np.array_equal(plausible_lungs(as_probability(seen)), lungs)


def test_one_lung_is_possible() -> None:
    one = ellipse((100, 100), 30, 50, 14, 30)
    assert np.array_equal(plausible_lungs(as_probability(one)), one)


@pytest.mark.parametrize(
    "probability",
    [
        np.zeros((64, 64)),
        np.ones((64, 64)),
        as_probability(ellipse((64, 64), 32, 32, 4, 4)),
        np.where(two_lungs(64), 0.6, 0.1),
        np.eye(64) * 0.9,
    ],
    ids=["nothing", "everything", "too small", "unsure", "a line"],
)
def test_implausible_lungs_are_unknown(probability: np.ndarray) -> None:
    assert not plausible_lungs(probability.astype(np.float32)).any()


def test_a_wide_image_is_padded_for_the_segmenter_and_cut_again() -> None:
    image = torch.zeros(1, 1, 60, 100)
    image[0, 0] = torch.from_numpy(as_probability(two_lungs()[20:80]))
    seen: list[torch.Size] = []

    def segmenter(images: torch.Tensor) -> torch.Tensor:
        seen.append(images.shape)
        return images

    found = lung_masks(segmenter, image)
    assert seen == [torch.Size([1, 1, 100, 100])]
    assert found.dtype == torch.bool
    assert np.array_equal(found[0, 0].numpy(), two_lungs()[20:80])


@pytest.mark.parametrize(
    ("segmenter", "message"),
    [
        (lambda images: images[:, :, :10], "one probability for every pixel"),
        (lambda images: images - 5, "must return probabilities"),
        (lambda images: images * torch.nan, "NaN"),
    ],
)
def test_a_segmenter_that_breaks_its_contract_is_refused(segmenter, message: str) -> None:
    with pytest.raises(InputError, match=message):
        lung_masks(segmenter, torch.rand(1, 1, 32, 32))


def test_images_of_another_form_are_refused() -> None:
    with pytest.raises(InputError, match="float"):
        lung_masks(lambda images: images, torch.zeros(1, 1, 32, 32, dtype=torch.uint8))
    with pytest.raises(InputError, match="B, 1, H, W"):
        lung_masks(lambda images: images, torch.zeros(1, 3, 32, 32))
    assert lung_masks(lambda images: images, torch.zeros(0, 1, 32, 32)).shape == (0, 1, 32, 32)


def test_an_unusable_path_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        load_segmenter(tmp_path / "absent.pt")
    with pytest.raises(ModelError, match="MONAI bundle"):
        load_segmenter(tmp_path)


def test_shipped_segmenter_finds_the_lungs_of_phantoms() -> None:
    phantoms = [render(SPEC, index, source) for source in ("phantom-a", "phantom-b") for index in range(4)]
    found = lung_masks(load_segmenter(), torch.from_numpy(np.stack([each.image for each in phantoms])[:, None]))
    overlap = [
        2 * (mask & each.lungs).sum() / (mask.sum() + each.lungs.sum())
        for mask, each in zip(found[:, 0].numpy(), phantoms, strict=True)
    ]
    assert min(overlap) > 0.93


def test_result_does_not_depend_on_the_batch() -> None:
    images = torch.from_numpy(np.stack([render(SPEC, index, "phantom-a").image for index in range(2)])[:, None])
    segmenter = load_segmenter()
    assert torch.equal(lung_masks(segmenter, images)[1:], lung_masks(segmenter, images[1:]))


@pytest.mark.parametrize("picture", ["black", "white", "noise", "gradient", "letters"])
def test_what_is_no_chest_has_no_lungs(picture: str) -> None:
    generator = torch.Generator().manual_seed(0)
    pictures = {
        "black": torch.zeros(256, 256),
        "white": torch.ones(256, 256),
        "noise": torch.rand(256, 256, generator=generator),
        "gradient": torch.linspace(0, 1, 256).expand(256, 256),
        "letters": (torch.rand(32, 32, generator=generator) > 0.5)
        .float()
        .repeat_interleave(8, 0)
        .repeat_interleave(8, 1),
    }
    assert not lung_masks(load_segmenter(), pictures[picture][None, None].clone()).any()


@pytest.fixture
def phantom_version(tmp_path: Path) -> DatasetVersion:
    """Five phantoms at 288 pixels, larger than masks are kept."""
    phantoms = [render(SPEC, index, "phantom-b") for index in range(4)] + [render(SPEC, 0, "phantom-a")]
    place = {"width": SPEC.size, "height": SPEC.size, "scale": 1.0, "pad_x": 0.0, "pad_y": 0.0}
    table = pd.DataFrame([{**dict.fromkeys(IMAGE_COLUMNS), **place, "label": "clear"} for _ in phantoms])
    table["image_id"], table["split"] = [f"id{9 - number}" for number in range(5)], "test"
    with write_version(tmp_path / "version", SPEC.size, "uint8") as writer:
        writer.write_shard(0, table, np.stack([np.rint(each.image * 255).astype(np.uint8) for each in phantoms]))
        meta = DatasetMeta("t", "v", "T", ("clear", "opacity"), "opacity", SPEC.size, "uint8")
        writer.finish(meta, table, 1)
    return DatasetVersion(tmp_path / "version")


def test_lungs_of_a_dataset(phantom_version: DatasetVersion, tmp_path: Path) -> None:
    rows = phantom_version.rows("test")[:5]
    table = lungs_dataset(phantom_version, tmp_path / "lungs", rows, load_segmenter)
    again, masks = read_lungs(tmp_path / "lungs")
    assert table.equals(again)
    assert list(table) == list(COLUMNS)
    assert table["image_id"].tolist() == phantom_version.images["image_id"].iloc[rows].tolist()
    assert masks.shape == (5, 256, 256)
    assert table["found"].tolist() == np.asarray(masks).any(axis=(1, 2)).tolist()
    assert table["found"].all()
    assert table["share"].between(0.1, 0.6).all()
    assert not (tmp_path / "lungs.partial").exists()


def test_images_without_lungs_are_reported(phantom_version: DatasetVersion, tmp_path: Path) -> None:
    rows = phantom_version.rows("test")[:2]
    blank = derive_version(
        phantom_version, tmp_path / "blank", rows, lambda _, images: torch.zeros_like(images), "blank", {}
    )
    table = lungs_dataset(blank, tmp_path / "lungs", np.arange(2), load_segmenter)
    assert table["found"].tolist() == [False, False]
    assert table["share"].tolist() == [0, 0]


def test_an_interrupted_search_resumes(
    phantom_version: DatasetVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.flag.lungs_dataset.PART", 2)
    rows = np.arange(5)
    segmenter, calls = load_segmenter(), []

    def counted(images: torch.Tensor) -> torch.Tensor:
        calls.append(len(images))
        if len(calls) == 2 and not (tmp_path / "whole").exists():
            raise KeyboardInterrupt
        return segmenter(images)

    with pytest.raises(KeyboardInterrupt):
        lungs_dataset(phantom_version, tmp_path / "lungs", rows, lambda: counted)
    (tmp_path / "whole").mkdir()
    calls.clear()
    table = lungs_dataset(phantom_version, tmp_path / "lungs", rows, lambda: counted)
    assert calls == [2, 1], "the first two images were done"
    whole = lungs_dataset(phantom_version, tmp_path / "afresh", rows, lambda: segmenter)
    assert table.equals(whole)
    assert np.array_equal(np.asarray(read_lungs(tmp_path / "lungs")[1]), np.asarray(read_lungs(tmp_path / "afresh")[1]))


def test_no_rows_give_an_empty_table(phantom_version: DatasetVersion, tmp_path: Path) -> None:
    table = lungs_dataset(phantom_version, tmp_path / "lungs", np.array([], dtype=np.int64), load_segmenter)
    assert list(table) == list(COLUMNS)
    assert not len(table)


@pytest.mark.real
def test_held_out_real_lungs(real_data: Path) -> None:
    from pipeline.benchmark.lungs import HELD_OUT, mean_dice, score_lungs
    from pipeline.ingest.lung_masks import folds, read_masked_images

    images = read_masked_images(real_data / "cxr" / "ieee8023", real_data / "lung_masks" / "ieee8023")
    result = mean_dice(score_lungs(load_segmenter(), folds(images, HELD_OUT)[0]), seed=0)
    assert result["images"] == 23
    assert result["not_found"] == 0
    assert result["dice"] >= 0.87, "three of the 23 masks lie beside the lungs, see models/lungs/CARD.md"
