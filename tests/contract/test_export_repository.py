"""The repository that an export fills: nothing of an earlier profile stays, nothing of nano's own is touched."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tools.export import build, repository_folder
from tools.export.module_weights import RandomWeights
from tools.export.profile_file import load, with_engine

NANO = load("nano")


def test_code_and_configurations_are_updated_when_nothing_needs_a_build(tmp_path: Path) -> None:
    repository_folder.prepare(NANO, tmp_path)
    wanted = (repository_folder.SOURCE / "transformer" / "1" / "model.py").read_text()
    (tmp_path / "transformer" / "1" / "model.py").write_text("broken")
    (tmp_path / "vae_decoder" / "1" / "model.py").unlink()
    (tmp_path / "transformer" / "1" / "old_name.py").write_text("")
    repository_folder.prepare(with_engine(NANO, ["slots=5", "device=gpu"]), tmp_path)
    assert (tmp_path / "transformer" / "1" / "model.py").read_text() == wanted
    assert (tmp_path / "vae_decoder" / "1" / "model.py").is_file()
    assert not (tmp_path / "transformer" / "1" / "old_name.py").exists()
    config = (tmp_path / "transformer" / "config.pbtxt").read_text()
    assert 'key: "slots" value { string_value: "5"' in config
    assert "KIND_GPU" in config
    assert "KIND_CPU" in (tmp_path / "tokenizer" / "config.pbtxt").read_text()


def test_no_model_of_an_earlier_profile_is_served(tmp_path: Path) -> None:
    repository_folder.prepare(NANO, tmp_path)
    old = [tmp_path / "vae_encoder" / "1" / "next.onnx", tmp_path / "transformer" / "1" / "weights.safetensors"]
    for file in old:
        file.write_bytes(b"old")
    repository_folder.prepare(replace(NANO, name="plain", image_encoder=None, tiny_vae=None), tmp_path)
    repository_folder.clear(tmp_path)
    assert not (tmp_path / "image_encoder").exists()
    assert not (tmp_path / "vae_decoder_tiny").exists()
    assert not any(file.exists() for file in old)
    assert (tmp_path / "vae_encoder" / "1" / "model.py").is_file()


def test_a_folder_that_is_not_a_model_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    repository_folder.prepare(NANO, tmp_path)
    assert (tmp_path / "notes").is_dir()


@pytest.mark.parametrize("change", [["slots=1"], ["text_on_demand=true"], ["device=gpu"]])
def test_nanos_repository_accepts_only_nanos_engine(change: list[str]) -> None:
    with pytest.raises(repository_folder.NotTheirs, match="--repository"):
        repository_folder.prepare(with_engine(NANO, change), repository_folder.SOURCE)


def test_without_weights_the_tokens_of_a_prompt_are_its_bytes(tmp_path: Path) -> None:
    """Noise in place of weights has no vocabulary; the server has to load all the same."""
    artefacts = build.artefacts(load("causal-forcing-1.3b"), RandomWeights(), None)
    first = next(iter(artefacts))
    first.write(tmp_path)
    assert json.loads((tmp_path / first.file).read_text()) == {"tokenizer": "bytes", "length": 512}
