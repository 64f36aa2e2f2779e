from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path

import pytest
import torch
from monai.networks.nets import BasicUNet
from torch import Tensor, nn

from models import ModelError
from models.lungs import (
    SHIPPED,
    SIDE,
    LungNet,
    Segmenter,
    bundle_segmenter,
    chestxdet_segmenter,
    file_segmenter,
    load_lung_net,
    network,
    save_lung_net,
    script_segmenter,
)


class Bright(nn.Module):
    """Probability of lung = brightness."""

    def forward(self, images: Tensor) -> Tensor:
        return images


class FourteenStructures(nn.Module):
    """Stands in for a ChestX-Det PSPNet: logits 4 and 5 are high on the left and right half of a white picture."""

    training_flag = True

    def forward(self, images: Tensor) -> Tensor:
        assert images.shape[1:] == (1, 512, 512)
        assert images.max() == 1024
        assert images.min() == -1024
        logits = torch.full((len(images), 14, 512, 512), -20.0)
        logits[:, 4, :, :200] = 20.0
        logits[:, 5, :, 312:] = 20.0
        logits[:, 8, :, 200:312] = 20.0  # heart
        return logits


def test_shipped_weights_are_those_released_and_small() -> None:
    assert hashlib.sha256(SHIPPED.read_bytes()).hexdigest() == network.SHIPPED_SHA256
    assert SHIPPED.stat().st_size <= 5_000_000
    card = SHIPPED.with_name("CARD.md").read_text(encoding="utf-8")
    assert network.SHIPPED_SHA256 in card


def test_changed_weights_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    altered = tmp_path / "weights.pt"
    altered.write_bytes(SHIPPED.read_bytes() + b"\0")
    monkeypatch.setattr(network, "SHIPPED", altered)
    with pytest.raises(ModelError, match="not the file that was released"):
        load_lung_net()
    monkeypatch.setattr(network, "SHIPPED", tmp_path / "absent.pt")
    with pytest.raises(ModelError, match="Install cxr-audit again"):
        load_lung_net()


def test_exposure_and_the_rest_of_the_batch_do_not_matter() -> None:
    net = load_lung_net()
    images = torch.rand(2, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        both, alone, darker = net(images), net(images[:1]), net(0.8 * images + 0.1)
    assert torch.allclose(both[:1], alone, atol=1e-4)
    assert (torch.sigmoid(both) - torch.sigmoid(darker)).abs().mean() < 0.01


def test_weights_survive_saving_in_half_precision(tmp_path: Path) -> None:
    net = LungNet(seed=3).eval()
    save_lung_net(tmp_path / "a.pt", net)
    save_lung_net(tmp_path / "b.pt", net)
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    image = torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(load_lung_net(tmp_path / "a.pt")(image), net(image), atol=0.02)
        assert torch.allclose(file_segmenter(tmp_path / "a.pt")(image), torch.sigmoid(net(image)), atol=0.02)


def test_initial_weights_leave_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    first, again, other = LungNet(seed=1), LungNet(seed=1), LungNet(seed=2)
    assert torch.equal(state, torch.get_rng_state())
    weights = [next(iter(net.state_dict().values())) for net in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_chestxdet_network_gives_both_lungs_and_not_the_heart() -> None:
    image = torch.zeros(1, 1, 64, 64)
    image[..., 32:] = 1.0
    lung = chestxdet_segmenter(FourteenStructures())(image)
    assert lung.shape == image.shape
    assert lung[..., :24].min() > 0.99
    assert lung[..., 40:].min() > 0.99
    assert lung[..., 27:37].max() < 0.01


def test_a_missing_channel_is_named() -> None:
    with pytest.raises(ModelError, match="no channel 3"):
        Segmenter(Bright(), channels=(3,))(torch.zeros(1, 1, 32, 32))


def test_torchscript(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.trace(Bright(), torch.rand(1, 1, 8, 8)).save(str(tmp_path / "bright.pt"))
    image = torch.full((1, 1, 40, 40), 0.25)
    assert torch.allclose(script_segmenter(tmp_path / "bright.pt")(image), image)
    assert torch.allclose(file_segmenter(tmp_path / "bright.pt")(image), image)
    (tmp_path / "junk.pt").write_text("no network")
    for name in ("junk.pt", "absent.pt"):
        with pytest.raises(ModelError, match="not a TorchScript file"):
            script_segmenter(tmp_path / name)


def bundle(folder: Path, definition: dict, metadata: dict, weights: dict) -> Path:
    for part in ("configs", "models"):
        (folder / part).mkdir(parents=True)
    (folder / "configs" / "inference.json").write_text(json.dumps({"network_def": definition}))
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    torch.save(weights, folder / "models" / "model.pt")
    return folder


def tiny(outputs: int) -> tuple[dict, nn.Module]:
    arguments = {"spatial_dims": 2, "in_channels": 1, "out_channels": outputs, "features": [4] * 6}
    return {"_target_": "BasicUNet", **arguments}, BasicUNet(**arguments).eval()


def test_a_bundle_is_called_as_it_says(tmp_path: Path) -> None:
    definition, net = tiny(4)
    names = {"0": "background", "1": "Left lung", "2": "heart", "3": "right lung"}
    formats = {
        "inputs": {"image": {"spatial_shape": [64, 48], "value_range": [0, 255]}},
        "outputs": {"pred": {"num_channels": 4, "channel_def": names}},
    }
    folder = bundle(tmp_path / "b", definition, {"network_data_format": formats}, net.state_dict())
    image = torch.rand(1, 1, 64, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = torch.softmax(net(image * 255), dim=1)[:, [1, 3]].amax(dim=1, keepdim=True)
    assert torch.allclose(bundle_segmenter(folder)(image), wanted, atol=1e-6)


def test_a_bundle_of_one_channel_is_a_logit(tmp_path: Path) -> None:
    definition, net = tiny(1)
    folder = bundle(tmp_path / "b", definition, {}, net.state_dict())
    image = torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(bundle_segmenter(folder)(image), torch.sigmoid(net(image)), atol=1e-6)


@pytest.mark.parametrize(
    "target", ["os.system", "torch.nn.Linear", "monai.networks.nets.basic_unet.os", "monai.bundle.run", ""]
)
def test_a_bundle_cannot_name_other_code(tmp_path: Path, target: str) -> None:
    folder = bundle(tmp_path / "b", {"_target_": target, "command": "true"}, {}, {"w": torch.zeros(1)})
    with pytest.raises(ModelError, match=r"only networks of monai\.networks\.nets"):
        bundle_segmenter(folder)


def test_expressions_in_a_bundle_are_not_run(tmp_path: Path) -> None:
    definition = {**tiny(1)[0], "features": "$__import__('os').system('true')"}
    with pytest.raises(ModelError, match="are not run"):
        bundle_segmenter(bundle(tmp_path / "b", definition, {}, {"w": torch.zeros(1)}))


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"inference\.json cannot be read"):
        bundle_segmenter(tmp_path)
    names = {str(number): "bone" for number in range(3)}
    metadata = {"network_data_format": {"outputs": {"pred": {"num_channels": 3, "channel_def": names}}}}
    definition, net = tiny(3)
    with pytest.raises(ModelError, match="none of the 3 output channels"):
        bundle_segmenter(bundle(tmp_path / "b", definition, metadata, net.state_dict()))
