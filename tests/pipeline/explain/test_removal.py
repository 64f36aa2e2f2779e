from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from models import BundleCard, ModelSpec
from models.inpainters import Inpainter, save_inpainter
from pipeline.errors import InputError
from pipeline.explain.contract import Query
from pipeline.explain.removal import available_removals, painted_by, removal, scores_without
from pipeline.explain.scorer import Scorer
from pipeline.fills import available_fills, fill

SPEC = ModelSpec("toy", ("a", "b"), (24, 32), mean=0.4, std=0.2)
HOLE = (slice(5, 11), slice(20, 26))
HOWS = [*available_removals(), "gaussian-2.5", lambda images, keep: images.flip(-1)]
PAINTED = [how for how in HOWS if not isinstance(how, str) or how in available_fills()]


@pytest.fixture
def images():
    return SPEC.normalise(torch.rand(3, 1, 24, 32, generator=torch.Generator().manual_seed(0)))


@pytest.fixture
def keep():
    """Image 0 with one hole, image 1 with two, image 2 whole."""
    keep = torch.ones(3, 1, 24, 32)
    keep[0, :, HOLE[0], HOLE[1]] = 0
    keep[1, :, 2:5, 3:9] = 0
    keep[1, :, 15:20, 0:4] = 0
    return keep


@pytest.mark.parametrize("how", HOWS)
def test_what_is_kept_stays_bit_identical_and_every_hole_changes(how, images, keep):
    before = images.clone()
    removed = removal(how, SPEC)(images, keep)
    assert torch.equal(removed[keep == 1], images[keep == 1])
    assert (removed[keep == 0] != images[keep == 0]).float().mean() > 0.95
    assert torch.equal(images, before)


@pytest.mark.parametrize("how", HOWS)
def test_an_image_is_treated_without_regard_to_the_others(how, images, keep):
    remove = removal(how, SPEC)
    alone = torch.cat([remove(image[None], kept[None]) for image, kept in zip(images, keep, strict=True)])
    torch.testing.assert_close(remove(images, keep), alone)


def test_zero_is_the_mean_grey_of_training(images, keep):
    removed = SPEC.denormalise(removal("zero", SPEC)(images, keep))
    torch.testing.assert_close(removed[keep == 0], torch.full((36 + 18 + 20,), SPEC.mean))


def test_zero_and_gaussian_fade(images):
    half = torch.full((3, 1, 24, 32), 0.25)
    assert torch.equal(removal("zero", SPEC)(images, half), images * 0.25)
    blurred = removal("gaussian-3", SPEC)(images, torch.zeros_like(half))
    faded = removal("gaussian-3", SPEC)(images, half)
    torch.testing.assert_close(faded, 0.25 * images + 0.75 * blurred)


@pytest.mark.parametrize("sigma", [0.7, 3.0, 10.0])
def test_gaussian_is_that_of_opencv(images, sigma):
    found = removal(f"gaussian-{sigma}", SPEC)(images, torch.zeros(3, 1, 24, 32))
    side = 2 * int(np.ceil(4 * sigma)) + 1
    # sides beyond the image's are more than OpenCV's border repeats at once, so the border is made by hand
    padded = np.pad(images[1, 0].double().numpy(), side, mode="edge")
    expected = cv2.GaussianBlur(padded, (side, side), sigma)[side:-side, side:-side]
    torch.testing.assert_close(found[1, 0], torch.from_numpy(expected).float(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", available_fills())
def test_fills_work_on_intensities(name, images, keep):
    expected = SPEC.normalise(fill(name)(SPEC.denormalise(images), keep == 0, None))
    torch.testing.assert_close(removal(name, SPEC)(images, keep), expected)


@pytest.mark.parametrize("name", available_fills())
def test_nothing_of_the_removed_content_is_left(name, images, keep):
    marked = torch.where(keep == 0, 2.5, images)
    # OpenCV's Telea lets 2 of 65535 grey levels through where a hole touches the image's border.
    torch.testing.assert_close(removal(name, SPEC)(marked, keep), removal(name, SPEC)(images, keep), atol=3e-4, rtol=0)


def test_grey_in_three_channels_is_filled_once_and_colour_each_for_itself(images, keep):
    calls = []

    def telea(planes, where, generator):
        calls.append(planes.shape[1])
        return fill("telea")(planes, where, generator)

    remove = removal(painted_by(telea, SPEC), SPEC)
    grey = images.expand(-1, 3, -1, -1).contiguous()
    assert torch.equal(remove(grey, keep), remove(images, keep).expand(-1, 3, -1, -1))
    colour = torch.cat([images, images * 0.5, images.flip(0)], dim=1)
    by_channel = torch.cat([remove(plane, keep) for plane in colour.split(1, dim=1)], dim=1)
    assert torch.equal(remove(colour, keep), by_channel)
    assert calls == [1, 1, 1, 1, 1, 3]


def test_intensities_outside_the_range_do_not_wrap_around():
    """Noise leaves [0, 1] by a little; as 16 bits a small negative number would be white."""
    spec = ModelSpec("toy", ("a", "b"), (12, 12), mean=0.0, std=1.0)
    keep = torch.ones(1, 1, 12, 12)
    keep[..., 4:8, 4:8] = 0
    for value in (-0.01, 1.01):
        image = torch.full((1, 1, 12, 12), value)
        removed = removal("telea", spec)(image, keep)
        torch.testing.assert_close(removed[keep == 0], torch.full((16,), min(max(value, 0.0), 1.0)))
        assert (removed[keep == 1] == value).all()


@pytest.mark.parametrize("how", PAINTED)
def test_holes_are_where_less_than_half_is_kept(how, images, keep):
    soft = keep * 0.5 + (1 - keep) * 0.49
    assert torch.equal(removal(how, SPEC)(images, soft), removal(how, SPEC)(images, keep))
    assert torch.equal(removal(how, SPEC)(images, keep * 0.3 + 0.5), images)


def test_gradient_passes_straight_through_the_threshold_and_not_through_the_content(images, keep):
    def inpaint(shown, kept):
        assert not torch.is_grad_enabled()
        assert not kept.requires_grad
        return shown * 0.5

    soft = (0.8 * keep + 0.1).requires_grad_()
    removed = removal(inpaint, SPEC)(images, soft)
    (slope,) = torch.autograd.grad(removed.sum(), soft)
    torch.testing.assert_close(slope, images * 0.5)  # image minus content, everywhere


def test_a_fill_with_nothing_to_go_by_gives_mean_grey(images, keep):
    keep[0] = 0
    for name in available_fills():
        removed = removal(name, SPEC)(images, keep)
        assert (removed[0] == 0).all()
        assert torch.equal(removed[1:], removal(name, SPEC)(images[1:], keep[1:]))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("tela", "Did you mean 'telea'"),
        ("gaussian-", "followed by a radius"),
        ("gaussian-0", "followed by a radius"),
        ("gaussian-nan", "followed by a radius"),
    ],
)
def test_unknown_removals_are_named(how, message):
    with pytest.raises(InputError, match=message):
        removal(how, SPEC)


def test_an_inpainter_that_returns_something_else_is_named(images, keep):
    with pytest.raises(InputError, match=r"returned \(3, 1, 24, 16\) for images \(3, 1, 24, 32\)"):
        removal(lambda shown, _: shown[..., :16], SPEC)(images, keep)


class Quarter(nn.Module):
    """In the form of LaMa: a quarter of full intensity wherever it paints."""

    def forward(self, images, mask):
        return images * (1 - mask) + 0.25 * mask


def test_a_network_from_a_file_paints(images, keep, tmp_path):
    torch.jit.script(Quarter()).save(str(tmp_path / "quarter.pt"))
    removed = removal(f"torchscript:{tmp_path / 'quarter.pt'}", SPEC)(images, keep)
    torch.testing.assert_close(removed[keep == 0], SPEC.normalise(torch.full((74,), 0.25)))
    with pytest.raises(InputError, match=r"none\.pt cannot be read"):
        removal("torchscript:none.pt", SPEC)


def test_the_learned_fill_paints_half_of_an_image(images, tmp_path):
    """LIME-G takes half of all superpixels at once: holes far larger than marks, in one batch."""
    save_inpainter(tmp_path / "bundle", Inpainter(seed=1), BundleCard("1", "toy", "toy", "tests", "none", "card"))
    draws = torch.rand(3, 1, 3, 4, generator=torch.Generator().manual_seed(1)) < 0.5
    half = nn.functional.interpolate(draws.float(), (24, 32))
    for name in ("learned", f"learned:{tmp_path / 'bundle'}"):
        removed = removal(name, SPEC)(images, half)
        assert removed.isfinite().all()
        assert torch.equal(removed[half == 1], images[half == 1])
        assert (removed[half == 0] != images[half == 0]).float().mean() > 0.95


class Counting(nn.Module):
    """Logit 1 is the sum of the image; notes the size of each batch and refuses more than `room`."""

    def __init__(self, room=100):
        super().__init__()
        self.sizes = []
        self.room = room

    def forward(self, images):
        if len(images) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        self.sizes.append(len(images))
        sums = images.sum(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(sums), sums], dim=1)


@pytest.mark.parametrize(("room", "sizes"), [(100, [6, 6, 3]), (4, [3, 3, 3, 3, 3])])
def test_variants_of_several_images_share_batches(images, room, sizes):
    model = Counting(room)
    scorer = Scorer(model, torch.tensor([1, 1, 0]), score="logit", batch_size=6)
    asked = []

    def keep(which, variant):
        asked.append(len(which))
        return (variant == 2).float().view(-1, 1, 1, 1).expand(-1, 1, 24, 32)

    scores = scores_without(Query(images, scorer.target, ["a", "b", "c"], scorer), removal("zero", SPEC), keep, 5)
    expected = torch.zeros(3, 5)
    expected[:2, 2] = images[:2].sum(dim=(1, 2, 3))
    torch.testing.assert_close(scores, expected)
    assert model.sizes == sizes
    assert max(asked) <= 6
    assert scorer.forward.tolist() == [5, 5, 5]
