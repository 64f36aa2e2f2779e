"""The inpainter paints in holes only, from what stands around them only, and survives the disk."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import torch
import torch.nn.functional as functional
from torch import Tensor

import models.bundle
from models import BundleCard, ModelError
from models.inpainters import Ground, Inpainter, InpainterSpec, bundle, load_inpainter, save_inpainter, smooth_fill
from models.weights import save_state

SCHEMA = json.loads(Path(models.bundle.__file__).with_name("bundle_metadata.schema.json").read_text())
CARD = BundleCard("1", "inpainting", "a test", "none", "nothing", "# readme\n")


def grain(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def scene(height: int = 61, width: int = 50) -> tuple[Tensor, Tensor]:
    """Two grainy slopes (2, 1, h, w) in [0, 1], each with a hole of its own."""
    rows, columns = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    slopes = torch.stack([0.2 + 0.5 * rows, 0.7 - 0.4 * columns])[:, None]
    hole = torch.zeros(2, 1, height, width, dtype=torch.bool)
    hole[0, :, 20:40, 10:30] = True
    hole[1, :, :15, -12:] = True
    return (slopes + 0.02 * grain(2, 1, height, width)).clamp(0, 1), hole


@pytest.fixture(scope="module")
def shipped() -> Inpainter:
    return load_inpainter()


def test_outside_the_hole_every_bit_stays(shipped: Inpainter) -> None:
    images, hole = scene()
    kept = images.clone()
    painted = shipped.inpaint(images, hole, grain(*images.shape, seed=1))
    assert torch.equal(painted[~hole], kept[~hole])
    assert torch.equal(images, kept)
    assert painted.dtype == torch.float32
    assert 0 <= painted.min() <= painted.max() <= 1
    assert not torch.equal(painted[hole], kept[hole])


@pytest.mark.parametrize("under", [0.0, 1.0, float("nan")])
def test_what_stands_under_the_hole_is_never_read(shipped: Inpainter, under: float) -> None:
    images, hole = scene()
    noise = grain(*images.shape, seed=1)
    assert torch.equal(
        shipped.inpaint(images, hole, noise), shipped.inpaint(images.masked_fill(hole, under), hole, noise)
    )


def test_only_noise_inside_the_hole_counts_beside_the_grain_at_its_rim(shipped: Inpainter) -> None:
    images, hole = scene()
    noise = grain(*images.shape, seed=1)
    first, other = (shipped.inpaint(images, hole, given) for given in (noise, grain(*images.shape, seed=2)))
    assert (first - other)[hole].abs().mean() > 1e-3
    assert torch.equal(first, shipped.inpaint(images, hole, noise))


@pytest.mark.parametrize("size", [(1, 1), (3, 7), (64, 64), (33, 130)])
def test_any_size(shipped: Inpainter, size: tuple[int, int]) -> None:
    images = torch.full((1, 1, *size), 0.4)
    hole = torch.zeros_like(images, dtype=torch.bool)
    hole[..., : max(size[0] // 2, 1), : size[1] // 2] = True
    painted = shipped.inpaint(images, hole, grain(*images.shape))
    assert painted.shape == images.shape
    assert torch.isfinite(painted).all()
    assert (painted - 0.4).abs().max() < 0.1


def test_without_a_known_pixel_it_stays_finite(shipped: Inpainter) -> None:
    images = torch.rand(1, 1, 16, 16)
    assert torch.isfinite(shipped.inpaint(images, torch.ones_like(images, dtype=torch.bool), grain(1, 1, 16, 16))).all()


def test_each_image_is_painted_on_its_own(shipped: Inpainter) -> None:
    images, hole = scene()
    noise = grain(*images.shape, seed=1)
    together = shipped.inpaint(images, hole, noise)
    alone = torch.cat([shipped.inpaint(*(part[i : i + 1] for part in (images, hole, noise))) for i in range(2)])
    assert torch.allclose(together, alone, atol=1e-5)  # the order of sums may depend on the batch


def test_shipped_weights_paint_grain_like_the_surroundings(shipped: Inpainter) -> None:
    """On a slope with grain, correlated as in x-rays, a hole gets as much of it; a smooth fill less than a third."""
    rows = torch.linspace(0.3, 0.7, 96)[None, None, :, None].expand(8, 1, 96, 96)
    speckle = functional.avg_pool2d(grain(8, 1, 97, 97), 2, stride=1)
    images = (rows + 0.03 * speckle).mul(255).round().div(255)
    hole = torch.zeros_like(images, dtype=torch.bool)
    hole[..., 36:60, 30:66] = True
    painted = shipped.inpaint(images, hole, grain(*images.shape, seed=3))
    rough = {"painted": painted, "true": images, "smooth": Ground.around(images, hole).filled}
    steps = {name: float(each[..., 38:58, 32:64].diff(dim=3).abs().mean()) for name, each in rough.items()}
    assert steps["true"] / 1.5 < steps["painted"] < steps["true"] * 1.5
    assert steps["smooth"] < steps["true"] / 3
    assert (painted - rows)[hole].mean().abs() < 0.02


def test_wrong_shapes_and_types_are_refused(shipped: Inpainter) -> None:
    images, hole = scene()
    noise = grain(*images.shape)
    with pytest.raises(ValueError, match="hole must be"):
        shipped.inpaint(images, hole.float(), noise)
    with pytest.raises(ValueError, match="noise must be"):
        shipped.inpaint(images, hole, noise[:1])
    with pytest.raises(ValueError, match="images must be"):
        shipped.inpaint(images.double(), hole, noise)


def test_the_smooth_fill_keeps_what_is_known_and_continues_a_slope() -> None:
    slope = torch.linspace(0, 1, 64)[None, None, None].expand(1, 1, 48, 64)
    known = torch.ones_like(slope)
    known[..., 16:32, 20:40] = 0
    filled = smooth_fill(slope * known, known)
    assert torch.equal(filled[known.bool()], slope[known.bool()])
    assert (filled - slope).abs().max() < 0.08  # a constant fill would be wrong by 0.15


def test_spread_is_the_deviation_of_the_surroundings_also_inside_the_hole() -> None:
    images = 0.5 + 0.05 * grain(1, 1, 96, 96)
    hole = torch.zeros_like(images, dtype=torch.bool)
    hole[..., 40:60, 40:60] = True
    spread = Ground.around(images, hole).spread
    assert float(spread[hole].mean()) == pytest.approx(0.05, rel=0.25)


def test_a_bundle_gives_back_the_same_inpainter(tmp_path: Path) -> None:
    model = Inpainter(InpainterSpec((4, 4, 8), (1, 2)), seed=5).eval()
    for name in ("a", "b"):
        save_inpainter(tmp_path / name, model, CARD)
    metadata = json.loads((tmp_path / "a" / "configs" / "metadata.json").read_text())
    jsonschema.validate(metadata, SCHEMA)
    assert (tmp_path / "a" / "docs" / "README.md").read_text() == CARD.readme
    assert (tmp_path / "a/models/model.pt").read_bytes() == (tmp_path / "b/models/model.pt").read_bytes()
    loaded = load_inpainter(tmp_path / "a")
    assert loaded.spec == model.spec
    assert not loaded.training
    images, hole = scene()
    noise = grain(*images.shape)
    assert torch.equal(loaded.inpaint(images, hole, noise), model.inpaint(images, hole, noise))


def test_initial_weights_come_from_the_seed_alone() -> None:
    state = torch.random.get_rng_state()
    one, same, other = (Inpainter(seed=seed).outer.feature.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_what_is_no_inpainter_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="does not describe an inpainter"):
        load_inpainter(tmp_path)
    save_inpainter(tmp_path, Inpainter(InpainterSpec((4, 4, 8), (1,))), CARD)
    save_state(tmp_path / "models" / "model.pt", Inpainter(InpainterSpec((4, 4, 4), (1,))))
    with pytest.raises(ModelError, match="does not fit"):
        load_inpainter(tmp_path)
    with pytest.raises(ModelError, match="whole and above 0"):
        InpainterSpec((4, 0, 4), (1,))
    monkeypatch.setattr(bundle, "SHIPPED_SHA256", "0")
    with pytest.raises(ModelError, match="not the file that was released"):
        load_inpainter()
