"""Every broken checkpoint gives an error that says what to do, and does not change the module."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.support import weights_files as files
from tests.support.weights_layouts import CASES, SHARDED
from tools.export.weights import PARTS, Source, Weights, WeightsError, load_into

torch.set_num_threads(1)


def refusal(*paths: Path) -> str:
    with pytest.raises(WeightsError) as refused:
        Weights.find(paths)
    return str(refused.value)


def vae_file(folder: Path) -> Path:
    return CASES["VAE, Wan2.1"].write(folder, files.vae().state_dict()) / "Wan2.1_VAE.pth"


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    assert "nowhere: there is no such file or folder" in refusal(tmp_path / "nowhere")


def test_a_folder_without_a_part_is_refused_with_what_it_holds_and_what_is_known(tmp_path: Path) -> None:
    assert "it holds nothing" in refusal(tmp_path)
    (tmp_path / "README.md").write_text("x")
    message = refusal(tmp_path)
    assert "it holds README.md" in message
    assert all(word in message for word in ("--weights PATH", "Wan2.1_VAE.pth", "taew2_1.pth", *PARTS))


@pytest.mark.parametrize(
    "name", ["Wan2.1_VAE.pth", "vae/x.safetensors", "vae/x.safetensors.index.json", "tokenizer/tokenizer.json"]
)
def test_a_git_lfs_pointer_is_distinguished_from_the_file_itself(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(files.POINTER)
    assert f"{path.name} is a Git LFS pointer" in refusal(tmp_path)
    assert "git lfs pull" in refusal(path)


@pytest.mark.parametrize("case_name", ["VAE, Wan2.1", "VAE, diffusers"])
@pytest.mark.parametrize("left", [0.9, 0.5, 0.001, 0])
def test_a_file_cut_short_is_refused(case_name: str, left: float, tmp_path: Path) -> None:
    CASES[case_name].write(tmp_path, files.vae().state_dict())
    path = next(each for each in tmp_path.rglob("*") if each.suffix in (".pth", ".safetensors"))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(left * len(whole))])
    assert f"{path.name} is {'cut short' if left else 'empty'}" in refusal(tmp_path)


@pytest.mark.parametrize("content", [b"<!DOCTYPE html><html>", b"\x80\x02junk", b"PK\x03\x04 but no more"])
def test_a_file_that_is_not_a_checkpoint_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "Wan2.1_VAE.pth").write_bytes(content)
    assert "Wan2.1_VAE.pth is cut short, or no checkpoint" in refusal(tmp_path)


class Foreign:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_of_more_than_tensors_is_refused_and_does_not_run(zipped: bool, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    content = {"generator": files.generator(files.transformer().state_dict()), "config": Foreign(mark)}
    path = tmp_path / "causal_forcing.pt"
    if zipped:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content["config"], protocol=2))
    message = refusal(path)
    assert "causal_forcing.pt is a pickle of more than tensors" in message
    assert "it wants posix.mkdir" in message
    assert not mark.exists()


def test_a_pickle_without_tensors_is_refused(tmp_path: Path) -> None:
    assert "model.pt holds no tensors" in refusal(files.save_pickle(tmp_path / "model.pt", ["a", "b"]))
    assert "model.pt holds no tensors" in refusal(files.save_pickle(tmp_path / "model.pt", {"step": 3}))


def test_a_file_of_another_model_is_refused_by_its_tensors(tmp_path: Path) -> None:
    path = files.save_safetensors(tmp_path / "lora.safetensors", {"lora_up.weight": torch.ones(2)})
    assert "lora.safetensors is no file of a model that is known here: its tensors are lora_up.weight" in refusal(path)
    vae_file(tmp_path)  # ignored next to a known file; mentioned only if a part is missing
    weights = Weights.find([tmp_path])
    assert list(weights.sources) == ["vae"]
    with pytest.raises(
        WeightsError, match=r"transformer: none of .*diffusion_pytorch_model.*lora\.safetensors.*--weights"
    ):
        weights.read("transformer")
    with pytest.raises(WeightsError, match=r"tokenizer: none of .*google/umt5-xxl/tokenizer\.json"):
        weights.tokenizer()


def test_an_index_with_missing_shards_names_them(tmp_path: Path) -> None:
    state = files.official_transformer(files.transformer().state_dict())
    index = files.save_safetensors(tmp_path / SHARDED, state, shards=3)
    (tmp_path / "diffusion_pytorch_model-00002-of-00003.safetensors").unlink()
    for path in (tmp_path, index):
        assert "1 of them are not beside it: diffusion_pytorch_model-00002-of-00003.safetensors" in refusal(path)


def test_an_index_of_another_download_is_refused(tmp_path: Path) -> None:
    state = files.official_transformer(files.transformer().state_dict())
    index = files.save_safetensors(tmp_path / SHARDED, state, shards=2)
    files.save_safetensors(tmp_path / "diffusion_pytorch_model-00002-of-00002.safetensors", {"x": torch.ones(1)})
    with pytest.raises(WeightsError, match=rf"transformer: .*{index.name} promises \d+ tensors"):
        Weights.find([tmp_path]).read("transformer")
    index.write_text("{}")
    assert f"{index.name} is no index of shards" in refusal(tmp_path)


def test_a_shard_without_its_index_is_refused(tmp_path: Path) -> None:
    state = files.official_transformer(files.transformer().state_dict())
    files.save_safetensors(tmp_path / SHARDED, state, shards=2).unlink()
    assert "diffusion_pytorch_model-00001-of-00002.safetensors is one shard of several" in refusal(tmp_path)


def test_two_candidates_in_a_folder_are_refused_until_the_user_chooses_one(tmp_path: Path) -> None:
    state = files.transformer().state_dict()
    files.in_diffusers("transformer")(tmp_path, state)
    half = {name: each.half() for name, each in state.items()}
    chosen = files.save_safetensors(tmp_path / "transformer" / "diffusion_pytorch_model.fp16.safetensors", half)
    message = refusal(tmp_path)
    assert "transformer: 2 files hold it" in message
    assert "transformer/diffusion_pytorch_model.fp16.safetensors" in message
    assert Weights.find([tmp_path, chosen]).sources["transformer"].path == chosen


def test_a_file_that_was_removed_meanwhile_is_reported_by_its_part(tmp_path: Path) -> None:
    path = vae_file(tmp_path)
    weights = Weights.find([path])
    path.unlink()
    with pytest.raises(WeightsError, match=r"vae: Wan2.1_VAE.pth cannot be read: No such file"):
        weights.read("vae")


def loading(module: nn.Module, tensors: files.State, source: Source) -> str:
    before = [parameter.clone() for parameter in module.parameters()]
    with pytest.raises(WeightsError) as refused:
        load_into(module, tensors, part=source.part, source=source)
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))
    return str(refused.value)


def test_everything_that_does_not_fit_is_reported_together_in_the_names_of_the_file(tmp_path: Path) -> None:
    tensors = files.generator(files.transformer().state_dict())
    for name in [name for name in tensors if ".blocks.0.cross_attn." in name]:
        del tensors[name]
    tensors["model.time_embedding.0.weight"] = torch.ones(24, 3)
    tensors["model.ref_conv.weight"] = torch.ones(2)
    tensors["model.blocks.1.self_attn.q.bias"][3] = float("nan")
    tensors["model.blocks.1.self_attn.k.bias"][3] = float("-inf")
    tensors["model.head.head.bias"] = torch.ones(16, dtype=torch.int8)
    path = files.save_pickle(tmp_path / "causal_forcing.pt", {"generator": tensors})
    weights = Weights.find([path])
    message = loading(files.transformer(), weights.read("transformer"), weights.sources["transformer"])
    assert message.splitlines() == [
        "transformer: the tensors of causal_forcing.pt (self-forcing) are not the model's.",
        "  10 missing: model.blocks.0.cross_attn.q.weight, model.blocks.0.cross_attn.q.bias, "
        "model.blocks.0.cross_attn.k.weight, model.blocks.0.cross_attn.k.bias, model.blocks.0.cross_attn.v.weight "
        "and 5 more",
        "  1 unknown to the model: model.ref_conv.weight",
        "  1 of another shape: model.time_embedding.0.weight (24, 3) where the model has (24, 16)",
        "  1 quantised, which is not read: model.head.head.bias torch.int8",
        "  2 NaN or infinite as torch.float32: model.blocks.1.self_attn.q.bias, model.blocks.1.self_attn.k.bias",
        "Give the file that this profile is made for, or take the profile that the file is made for.",
    ]


@pytest.mark.parametrize(
    ("name", "other", "message"),
    [
        ("transformer, Wan2.1", files.image_transformer, "18 missing: img_emb.proj.0.weight"),
        ("transformer, Wan2.1 in shards", files.transformer, "18 unknown to the model: blocks.0.cross_attn.k_img"),
        ("transformer, diffusers", files.image_transformer, "18 missing: condition_embedder.image_embedder.norm1"),
    ],
)
def test_a_transformer_with_image_attention_is_not_taken_for_one_without(
    name: str, other: Callable[[], nn.Module], message: str, tmp_path: Path
) -> None:
    case = CASES[name]
    weights = Weights.find([case.write(tmp_path, case.make().state_dict())])
    assert message in loading(other(), weights.read("transformer"), weights.sources["transformer"])


def test_a_name_that_only_the_library_uses_is_not_taken_for_its_tensor(tmp_path: Path) -> None:
    tensors = files.official_transformer(files.transformer().state_dict())
    tensors["blocks.0.norm2.weight"] = tensors.pop("blocks.0.norm3.weight")
    weights = Weights.find([files.save_safetensors(tmp_path / SHARDED, tensors)])
    message = loading(files.transformer(), weights.read("transformer"), weights.sources["transformer"])
    assert "1 missing: blocks.0.norm3.weight" in message
    assert "1 unknown to the model: blocks.0.norm2.weight" in message


def test_what_overflows_in_half_precision_is_refused(tmp_path: Path) -> None:
    module = files.tiny_vae()
    with torch.no_grad():
        module[1].bias[0] = 1e6
    weights = Weights.find([files.taehv(tmp_path, module.state_dict())])
    tensors, source = weights.read("tiny_vae"), weights.sources["tiny_vae"]
    load_into(module, tensors, part="tiny_vae", source=source, dtype=torch.bfloat16)
    with pytest.raises(WeightsError, match=r"1 NaN or infinite as torch.float16: decoder\.1\.bias"):
        load_into(module, tensors, part="tiny_vae", source=source, dtype=torch.float16)


def test_tensors_that_training_saved_wrapped_and_unwrapped_are_refused(tmp_path: Path) -> None:
    tensors = files.generator(files.transformer().state_dict())
    tensors["model._orig_mod.head.head.bias"] = tensors["model.head.head.bias"]
    path = files.save_pickle(tmp_path / "model.pt", {"generator": tensors})
    assert "with and without the leftovers of training: model._orig_mod.head.head.bias" in refusal(path)
