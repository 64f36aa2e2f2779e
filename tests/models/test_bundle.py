"""Bundles: what MONAI wants of them, the same bytes for the same weights, and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import torch
from torch import Tensor, nn

import models.bundle
from models import BundleCard, ModelError, ModelSpec, available, build, load_bundle, load_state_dict_model, save_bundle

CARD = BundleCard(
    "1.0", "task", "description", "research", "data", "# Card\n", {"val_auroc": 0.75}, {"cxr-audit": "0.1.0"}
)
SCHEMA = json.loads(Path(models.bundle.__file__).with_name("bundle_metadata.schema.json").read_text())


def _make(name: str = "small", seed: int = 5) -> tuple[nn.Module, ModelSpec]:
    options = {"width": 4} if name == "small" else {}
    return build(name, classes=("a", "b"), input_size=(32, 48), seed=seed, **options)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    save_bundle(tmp_path / "bundle", *_make(), CARD)
    return tmp_path / "bundle"


def _equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return list(a) == list(b) and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("name", available())
def test_a_bundle_gives_back_the_classifier_and_its_spec(name: str, tmp_path: Path) -> None:
    model, spec = _make(name)
    save_bundle(tmp_path, model, spec, CARD)
    loaded, loaded_spec = load_bundle(tmp_path)
    assert loaded_spec == spec
    assert _equal(loaded.state_dict(), model.state_dict())
    assert not loaded.training


@pytest.mark.parametrize("name", available())
def test_monai_builds_the_network_and_loads_the_weights_from_the_configuration(name: str, tmp_path: Path) -> None:
    from monai.bundle import ConfigParser

    model, spec = _make(name)
    save_bundle(tmp_path, model, spec, CARD)
    parser = ConfigParser()
    parser.read_config(tmp_path / "configs" / "inference.json")
    parser.read_meta(tmp_path / "configs" / "metadata.json")
    parser["bundle_root"] = str(tmp_path)
    parser.get_parsed_content("load")
    network = parser.get_parsed_content("network")
    assert _equal(network.state_dict(), model.state_dict())
    images = torch.rand(2, 1, 32, 48, generator=torch.Generator().manual_seed(0))
    assert torch.equal(parser.get_parsed_content("inferer")(images, network), model(images))


def test_metadata_has_what_monai_requires(bundle: Path) -> None:
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    jsonschema.validate(metadata, SCHEMA)
    image = metadata["network_data_format"]["inputs"]["image"]
    assert image["spatial_shape"] == [32, 48]
    assert image["value_range"] == [-2.0, 2.0]  # ([0, 1] - 0.5) / 0.25
    assert metadata["network_data_format"]["outputs"]["pred"]["channel_def"] == {"0": "a", "1": "b"}
    assert metadata["eval_metrics"] == {"val_auroc": 0.75}


@pytest.mark.parametrize("key", ["version", "task", "network_data_format", "required_packages_version"])
def test_the_schema_misses_nothing_that_monai_requires(bundle: Path, key: str) -> None:
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    del metadata[key]
    with pytest.raises(jsonschema.ValidationError, match=key):
        jsonschema.validate(metadata, SCHEMA)


def test_equal_weights_give_equal_bytes_whatever_their_layout_and_place(bundle: Path, tmp_path: Path) -> None:
    model, spec = _make()
    save_bundle(tmp_path / "elsewhere", model.to(memory_format=torch.channels_last), spec, CARD)
    files = [path.relative_to(bundle) for path in bundle.rglob("*") if path.is_file()]
    assert len(files) == 4
    for name in files:
        assert (tmp_path / "elsewhere" / name).read_bytes() == (bundle / name).read_bytes(), name


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"configs/metadata\.json and models/model\.pt not found"):
        load_bundle(tmp_path)


def test_a_bundle_made_elsewhere_has_no_spec(bundle: Path) -> None:
    path = bundle / "configs" / "metadata.json"
    metadata = json.loads(path.read_text())
    del metadata["cxr_audit"]
    path.write_text(json.dumps(metadata))
    with pytest.raises(ModelError, match=r"no usable 'cxr_audit' entry .*model\.pt together with a spec"):
        load_bundle(bundle)


@pytest.mark.parametrize("text", ["{", "[]", '{"cxr_audit": {"name": "small"}}', '{"cxr_audit": null}'])
def test_broken_metadata(bundle: Path, text: str) -> None:
    (bundle / "configs" / "metadata.json").write_text(text)
    with pytest.raises(ModelError, match="no usable 'cxr_audit' entry"):
        load_bundle(bundle)


def _save(tmp_path: Path, value: object) -> Path:
    path = tmp_path / "given.pt"
    torch.save(value, path)
    return path


def test_a_pickled_module_is_never_loaded(tmp_path: Path) -> None:
    model, spec = _make()
    with pytest.raises(ModelError, match=r"pickled Python objects.*torch\.save\(model\.state_dict\(\), path\)"):
        load_state_dict_model(_save(tmp_path, model), spec)


def test_weights_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    model, spec = _make()
    state = dict(model.state_dict())
    del state["classifier.bias"]
    state["extra"] = torch.zeros(1)
    state["classifier.weight"] = torch.zeros(3, 32)
    with pytest.raises(ModelError) as caught:
        load_state_dict_model(_save(tmp_path, state), spec)
    for part in ("1 missing: classifier.bias", "1 unexpected: extra", "classifier.weight (3, 32) for (2, 32)"):
        assert part in str(caught.value)


def test_long_lists_are_shortened_and_data_parallel_is_recognised(tmp_path: Path) -> None:
    model, spec = _make()
    state = {f"module.{key}": value for key, value in model.state_dict().items()}
    with pytest.raises(ModelError, match=rf"and {len(state) - 5} more.*remove that prefix of DataParallel"):
        load_state_dict_model(_save(tmp_path, state), spec)


@pytest.mark.parametrize("value", [{"state_dict": {"a": torch.zeros(1)}, "epoch": 3}, [torch.zeros(1)], {}])
def test_a_checkpoint_is_not_a_state_dict(value: object, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"not a state dict\. Save the inner state dict alone"):
        load_state_dict_model(_save(tmp_path, value), _make()[1])


def test_damaged_and_missing_files(bundle: Path, tmp_path: Path) -> None:
    spec = _make()[1]
    weights = bundle / "models" / "model.pt"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="damaged"):
        load_bundle(bundle)
    for content in (b"", b"not a checkpoint"):
        weights.write_bytes(content)
        with pytest.raises(ModelError, match=r"model\.pt"):
            load_state_dict_model(weights, spec)
    with pytest.raises(ModelError, match="cannot be read"):
        load_state_dict_model(tmp_path / "absent.pt", spec)
