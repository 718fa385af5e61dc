"""Every layout that checkpoints come in gives back the libraries' tensors; every broken one says what to do."""

import hashlib
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from diffusers.loaders import single_file_utils
from torch import nn
from transformers import UMT5Config, UMT5EncoderModel

from tests import weights_files as files
from tools.export.weights import PARTS, Source, Weights, WeightsError, load_into
from tools.export.weights.kind import kind_of

torch.set_num_threads(1)


@dataclass(frozen=True)
class Case:
    part: str
    layout: str
    make: Callable[..., nn.Module]
    write: Callable[[Path, files.State], Path]


SHARDED = "diffusion_pytorch_model.safetensors"
IMAGE = files.image_transformer
CASES = {
    "text encoder, diffusers": Case(
        "text_encoder", "diffusers", files.text_encoder, files.in_diffusers("text_encoder", "model", shards=3)
    ),
    "text encoder, Wan2.1": Case(
        "text_encoder",
        "wan2.1",
        files.text_encoder,
        files.official("models_t5_umt5-xxl-enc-bf16.pth", files.official_text_encoder),
    ),
    "image encoder, diffusers": Case(
        "image_encoder", "diffusers", files.image_encoder, files.in_diffusers("image_encoder", "model")
    ),
    "image encoder, older diffusers": Case(
        "image_encoder", "diffusers", files.image_encoder, files.older_image_encoder
    ),
    "image encoder, Wan2.1": Case(
        "image_encoder",
        "wan2.1",
        files.image_encoder,
        files.official("models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth", files.official_image_encoder),
    ),
    "VAE, diffusers": Case("vae", "diffusers", files.vae, files.in_diffusers("vae")),
    "VAE, Wan2.1": Case("vae", "wan2.1", files.vae, files.official("Wan2.1_VAE.pth", files.official_vae)),
    "transformer, diffusers": Case("transformer", "diffusers", files.transformer, files.in_diffusers("transformer")),
    "transformer, diffusers in shards": Case(
        "transformer", "diffusers", IMAGE, files.in_diffusers("transformer", shards=4)
    ),
    "transformer, Wan2.1": Case(
        "transformer", "wan2.1", files.transformer, files.official(SHARDED, files.official_transformer)
    ),
    "transformer, Wan2.1 in shards": Case(
        "transformer", "wan2.1", IMAGE, files.official(SHARDED, files.official_transformer, shards=3)
    ),
    "transformer, Self-Forcing": Case(
        "transformer", "self-forcing", files.transformer, files.self_forcing("generator_ema", "generator", "critic")
    ),
    "transformer, Self-Forcing without average": Case(
        "transformer", "self-forcing", files.transformer, files.self_forcing("generator", "critic")
    ),
    "transformer, Self-Forcing with FSDP's names": Case(
        "transformer",
        "self-forcing",
        files.transformer,
        files.self_forcing("generator_ema", leftover="_fsdp_wrapped_module._checkpoint_wrapped_module._orig_mod."),
    ),
    "transformer, Self-Forcing bare": Case("transformer", "self-forcing", files.transformer, files.self_forcing()),
    "tiny VAE, TAEHV": Case("tiny_vae", "taehv", files.tiny_vae, files.taehv),
}


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    chosen: Case = request.param
    return chosen


def output(module: nn.Module) -> torch.Tensor:
    """One forward of any of them, on inputs of chance."""
    generator = torch.Generator().manual_seed(9)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    with torch.inference_mode():
        match type(module).__name__:
            case "UMT5EncoderModel":
                return module(input_ids=torch.tensor([[3, 14, 15, 1]])).last_hidden_state
            case "CLIPVisionModel":
                return module(random(1, 3, 8, 8), output_hidden_states=True).hidden_states[-1]
            case "AutoencoderKLWan":
                return module.decode(module.encode(random(1, 3, 5, 16, 16)).latent_dist.mean).sample
            case "WanTransformer3DModel":
                image = random(1, 5, 8) if module.config.image_dim else None
                return module(random(1, 4, 2, 4, 4), torch.tensor([500]), random(1, 512, 8), image).sample
            case _:
                return module(random(2, 4, 3, 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_a_layout_gives_back_every_tensor_as_it_was(case: Case, dtype: torch.dtype, tmp_path: Path) -> None:
    state = case.make().to(dtype).state_dict()
    weights = Weights.find([case.write(tmp_path, state)])
    assert [(source.part, source.layout) for source in weights.sources.values()] == [(case.part, case.layout)]
    read = weights.read(case.part)
    assert read.keys() == state.keys()
    for name, tensor in state.items():
        assert read[name].dtype == dtype, name
        assert torch.equal(read[name], tensor), name


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_module_filled_from_a_layout_computes_the_same(case: Case, device: str, tmp_path: Path) -> None:
    original = case.make()
    weights = Weights.find([case.write(tmp_path, original.state_dict())])
    with torch.device(device):
        module = case.make(seed=2)
    load_into(module, weights.read(case.part), part=case.part, source=weights.sources[case.part])
    assert not any(each.is_meta for each in (*module.parameters(), *module.buffers()))
    torch.testing.assert_close(output(module), output(original))  # not bit by bit: kernels differ by how memory lies


def wan(heads: int, layers: int, width: int, channels: int = 16, **image: int) -> WanTransformer3DModel:
    sizes = {"num_attention_heads": heads, "num_layers": layers, "ffn_dim": width, "in_channels": channels}
    return WanTransformer3DModel(**sizes, **image)


def umt5_xxl() -> UMT5EncoderModel:
    sizes = {"vocab_size": 256384, "d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64}
    return UMT5EncoderModel(UMT5Config(**sizes, feed_forward_proj="gated-gelu"))


# MD5 sums of names and shapes, by which DiffSynth-Studio 1.1.9 tells the released files from one another.
RELEASED = {
    "9269f8db9040a9d860eaca435be61814": ("T2V-1.3B", lambda: wan(12, 30, 8960), files.official_transformer),
    "6d6ccde6845b95ad9114ab993d917893": (
        "Fun-1.3B-InP",
        lambda: wan(12, 30, 8960, 36, image_dim=1280, added_kv_proj_dim=1536),
        files.official_transformer,
    ),
    "6bfcfb3b342cb286ce886889d519a77e": (
        "I2V-14B",
        lambda: wan(40, 40, 13824, 36, image_dim=1280, added_kv_proj_dim=5120),
        files.official_transformer,
    ),
    "9c8818c2cbea55eca56c7b447df170da": ("umT5-xxl", umt5_xxl, files.official_text_encoder),
    "ccc42284ea13e1ad04693284c7a09be6": ("VAE", AutoencoderKLWan, files.official_vae),
}


@pytest.mark.parametrize("released", RELEASED, ids=[name for name, _, _ in RELEASED.values()])
def test_released_files_have_just_the_names_and_shapes_that_the_library_s_classes_want(released: str) -> None:
    _, make, named = RELEASED[released]
    with torch.device("meta"):
        wanted = make().state_dict()
    state = named(wanted)
    told = sorted(each for name in state for each in (name, f"{name}:{'_'.join(map(str, state[name].shape))}"))
    assert hashlib.md5(",".join(told).encode()).hexdigest() == released
    kind = kind_of(state)
    assert kind is not None
    assert {name: each.shape for name, each in kind.to_library(state).items()} == {
        name: each.shape for name, each in wanted.items()
    }


def test_the_transformer_s_names_are_those_that_diffusers_converts_to(tmp_path: Path) -> None:
    state = files.official_transformer(files.image_transformer().state_dict())
    read = Weights.find([files.save_safetensors(tmp_path / SHARDED, state)]).read("transformer")
    theirs = single_file_utils.convert_wan_transformer_to_diffusers(dict(state))
    assert read.keys() == theirs.keys()
    assert all(torch.equal(read[name], theirs[name]) for name in read)


def test_the_vae_s_names_are_those_that_diffusers_converts_to(tmp_path: Path) -> None:
    state = files.official_vae(files.vae().state_dict())
    read = Weights.find([files.save_pickle(tmp_path / "Wan2.1_VAE.pth", state)]).read("vae")
    theirs = single_file_utils.convert_wan_vae_to_diffusers(dict(state))
    assert read.keys() == theirs.keys()
    assert all(torch.equal(read[name], theirs[name]) for name in read)


def test_a_text_encoder_stays_tied_and_its_embedding_is_converted_once(tmp_path: Path) -> None:
    state = files.text_encoder().to(torch.bfloat16).state_dict()
    weights = Weights.find([CASES["text encoder, Wan2.1"].write(tmp_path, state)])
    module: Any = files.text_encoder(seed=2)
    load_into(module, weights.read("text_encoder"), part="text_encoder", source=weights.sources["text_encoder"])
    assert module.shared.weight is module.encoder.embed_tokens.weight
    assert module.shared.weight.dtype == torch.float32


@pytest.mark.parametrize("kept", ["shared.weight", "encoder.embed_tokens.weight"])
def test_either_name_of_the_tied_embedding_will_do(kept: str, tmp_path: Path) -> None:
    state = files.text_encoder().state_dict()
    untied = {name: each for name, each in state.items() if name == kept or "encoder.block" in name or "norm" in name}
    files.save_safetensors(tmp_path / "text_encoder" / "model.safetensors", untied)
    read = Weights.find([tmp_path]).read("text_encoder")
    assert read.keys() == state.keys()
    assert read["shared.weight"] is read["encoder.embed_tokens.weight"]


def test_the_average_is_taken_unless_the_plain_weights_are_asked_for(tmp_path: Path) -> None:
    state = files.transformer().state_dict()
    path = files.self_forcing("generator", "generator_ema")(tmp_path, state)
    averaged, plain = Weights.find([path]), Weights.find([path], ema=False)
    assert torch.equal(plain.read("transformer")["proj_out.bias"], state["proj_out.bias"])
    assert torch.equal(averaged.read("transformer")["proj_out.bias"], -state["proj_out.bias"])
    assert averaged.describe() == ["transformer   causal_forcing.pt (self-forcing, generator_ema)"]
    assert plain.describe() == ["transformer   causal_forcing.pt (self-forcing, generator)"]


def everything(folder: Path) -> Path:
    """A folder as Wan2.1 image-to-video comes."""
    for name in ("text encoder, Wan2.1", "image encoder, Wan2.1", "VAE, Wan2.1", "transformer, Wan2.1 in shards"):
        CASES[name].write(folder, CASES[name].make().state_dict())
    files.tokenizer(folder, "google/umt5-xxl")
    files.tokenizer(folder, "xlm-roberta-large")
    return folder


def test_a_later_path_wins_and_every_part_is_told_of(tmp_path: Path) -> None:
    folder = everything(tmp_path / "Wan2.1-I2V")
    better = files.self_forcing("generator_ema")(tmp_path / "better", files.transformer().state_dict())
    tiny = files.taehv(tmp_path / "tiny", files.tiny_vae().state_dict())
    weights = Weights.find([folder, better, tiny])
    assert tuple(weights.sources) == PARTS
    assert weights.tokenizer() == folder / "google" / "umt5-xxl" / "tokenizer.json"
    assert weights.describe() == [
        "text_encoder  models_t5_umt5-xxl-enc-bf16.pth (wan2.1)",
        "image_encoder models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth (wan2.1)",
        "vae           Wan2.1_VAE.pth (wan2.1)",
        "transformer   causal_forcing.pt (self-forcing, generator_ema)",
        "tiny_vae      taew2_1.pth (taehv)",
        "tokenizer     tokenizer.json (wan2.1)",
    ]
    assert Weights.find([better, folder]).sources["transformer"].layout == "wan2.1"


def test_a_diffusers_folder_names_the_subfolder_of_each_file(tmp_path: Path) -> None:
    for name in ("VAE, diffusers", "transformer, diffusers in shards"):
        CASES[name].write(tmp_path, CASES[name].make().state_dict())
    path = files.tokenizer(tmp_path, "tokenizer")
    weights = Weights.find([tmp_path])
    assert weights.tokenizer() == path
    assert weights.describe() == [
        "vae           vae/diffusion_pytorch_model.safetensors (diffusers)",
        "transformer   transformer/diffusion_pytorch_model.safetensors.index.json (diffusers, 4 shards)",
        "tokenizer     tokenizer/tokenizer.json (diffusers)",
    ]


def test_pickles_from_before_torch_1_6_are_read_too(tmp_path: Path) -> None:
    state = files.tiny_vae().state_dict()
    torch.save(
        {f"decoder.{name}": each for name, each in state.items()},
        tmp_path / "taew2_1.pth",
        _use_new_zipfile_serialization=False,
    )
    read = Weights.find([tmp_path]).read("tiny_vae")
    assert all(torch.equal(read[name], each) for name, each in state.items())


def refusal(*paths: Path) -> str:
    with pytest.raises(WeightsError) as refused:
        Weights.find(paths)
    return str(refused.value)


def vae_file(folder: Path) -> Path:
    return CASES["VAE, Wan2.1"].write(folder, files.vae().state_dict()) / "Wan2.1_VAE.pth"


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "nowhere: there is no such file or folder" in refusal(tmp_path / "nowhere")


def test_a_folder_without_a_part_is_refused_with_what_it_holds_and_what_is_known(tmp_path: Path) -> None:
    assert "it holds nothing" in refusal(tmp_path)
    (tmp_path / "README.md").write_text("x")
    told = refusal(tmp_path)
    assert "it holds README.md" in told
    assert all(word in told for word in ("--weights PATH", "Wan2.1_VAE.pth", "taew2_1.pth", *PARTS))


@pytest.mark.parametrize(
    "name", ["Wan2.1_VAE.pth", "vae/x.safetensors", "vae/x.safetensors.index.json", "tokenizer/tokenizer.json"]
)
def test_a_git_lfs_pointer_is_told_from_the_file_itself(name: str, tmp_path: Path) -> None:
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
def test_what_is_no_checkpoint_at_all_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "Wan2.1_VAE.pth").write_bytes(content)
    assert "Wan2.1_VAE.pth is cut short, or no checkpoint" in refusal(tmp_path)


class Foreign:
    """Leaves a mark when it is unpickled."""

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
    told = refusal(path)
    assert "causal_forcing.pt is a pickle of more than tensors" in told
    assert "it wants posix.mkdir" in told
    assert not mark.exists()


def test_a_pickle_without_tensors_is_refused(tmp_path: Path) -> None:
    assert "model.pt holds no tensors" in refusal(files.save_pickle(tmp_path / "model.pt", ["a", "b"]))
    assert "model.pt holds no tensors" in refusal(files.save_pickle(tmp_path / "model.pt", {"step": 3}))


def test_a_file_of_another_model_is_refused_by_its_tensors(tmp_path: Path) -> None:
    path = files.save_safetensors(tmp_path / "lora.safetensors", {"lora_up.weight": torch.ones(2)})
    assert "lora.safetensors is no file of a model that is known here: its tensors are lora_up.weight" in refusal(path)
    vae_file(tmp_path)  # beside a file that is known it is passed over, and told of only where a part is missing
    weights = Weights.find([tmp_path])
    assert list(weights.sources) == ["vae"]
    with pytest.raises(
        WeightsError, match=r"transformer: none of .*diffusion_pytorch_model.*lora\.safetensors.*--weights"
    ):
        weights.read("transformer")
    with pytest.raises(WeightsError, match=r"tokenizer: none of .*google/umt5-xxl/tokenizer\.json"):
        weights.tokenizer()


def test_an_index_whose_shards_are_not_all_there_names_them(tmp_path: Path) -> None:
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


def test_two_candidates_in_a_folder_are_for_the_person_to_choose_from(tmp_path: Path) -> None:
    state = files.transformer().state_dict()
    files.in_diffusers("transformer")(tmp_path, state)
    half = {name: each.half() for name, each in state.items()}
    chosen = files.save_safetensors(tmp_path / "transformer" / "diffusion_pytorch_model.fp16.safetensors", half)
    told = refusal(tmp_path)
    assert "transformer: 2 files hold it" in told
    assert "transformer/diffusion_pytorch_model.fp16.safetensors" in told
    assert Weights.find([tmp_path, chosen]).sources["transformer"].path == chosen


def test_a_file_that_vanished_since_is_told_of_by_its_part(tmp_path: Path) -> None:
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


def test_everything_that_does_not_fit_is_told_at_once_in_the_names_of_the_file(tmp_path: Path) -> None:
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
    told = loading(files.transformer(), weights.read("transformer"), weights.sources["transformer"])
    assert told.splitlines() == [
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
    ("name", "other", "told"),
    [
        ("transformer, Wan2.1", files.image_transformer, "18 missing: img_emb.proj.0.weight"),
        ("transformer, Wan2.1 in shards", files.transformer, "18 unknown to the model: blocks.0.cross_attn.k_img"),
        ("transformer, diffusers", files.image_transformer, "18 missing: condition_embedder.image_embedder.norm1"),
    ],
)
def test_a_transformer_with_image_attention_is_not_taken_for_one_without(
    name: str, other: Callable[[], nn.Module], told: str, tmp_path: Path
) -> None:
    case = CASES[name]
    weights = Weights.find([case.write(tmp_path, case.make().state_dict())])
    assert told in loading(other(), weights.read("transformer"), weights.sources["transformer"])


def test_a_name_that_only_the_library_uses_is_not_taken_for_its_tensor(tmp_path: Path) -> None:
    tensors = files.official_transformer(files.transformer().state_dict())
    tensors["blocks.0.norm2.weight"] = tensors.pop("blocks.0.norm3.weight")
    weights = Weights.find([files.save_safetensors(tmp_path / SHARDED, tensors)])
    told = loading(files.transformer(), weights.read("transformer"), weights.sources["transformer"])
    assert "1 missing: blocks.0.norm3.weight" in told
    assert "1 unknown to the model: blocks.0.norm2.weight" in told


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
