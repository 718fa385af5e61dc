"""Every layout that checkpoints come in gives back the libraries' tensors."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from diffusers.loaders import single_file_utils
from torch import nn
from transformers import UMT5Config, UMT5EncoderModel

from tests.support import weights_files as files
from tests.support.weights_layouts import CASES, SHARDED, Case
from tools.export.weights import PARTS, Weights, load_into
from tools.export.weights.checkpoint_kind import kind_of

torch.set_num_threads(1)


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    chosen: Case = request.param
    return chosen


def output(module: nn.Module) -> torch.Tensor:
    """One forward pass of any of them, on random inputs."""
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
    torch.testing.assert_close(output(module), output(original))  # not bit by bit: kernels depend on the memory layout


def wan(heads: int, layers: int, width: int, channels: int = 16, **image: int) -> WanTransformer3DModel:
    sizes = {"num_attention_heads": heads, "num_layers": layers, "ffn_dim": width, "in_channels": channels}
    return WanTransformer3DModel(**sizes, **image)


def umt5_xxl() -> UMT5EncoderModel:
    sizes = {"vocab_size": 256384, "d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64}
    return UMT5EncoderModel(UMT5Config(**sizes, feed_forward_proj="gated-gelu"))


# MD5 sums of names and shapes, by which DiffSynth-Studio 1.1.9 distinguishes the released files.
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
def test_released_files_have_exactly_the_names_and_shapes_of_the_librarys_classes(released: str) -> None:
    _, make, named = RELEASED[released]
    with torch.device("meta"):
        wanted = make().state_dict()
    state = named(wanted)
    described = sorted(each for name in state for each in (name, f"{name}:{'_'.join(map(str, state[name].shape))}"))
    assert hashlib.md5(",".join(described).encode()).hexdigest() == released
    kind = kind_of(state)
    assert kind is not None
    assert {name: each.shape for name, each in kind.to_library(state).items()} == {
        name: each.shape for name, each in wanted.items()
    }


def test_the_transformers_names_are_those_that_diffusers_converts_to(tmp_path: Path) -> None:
    state = files.official_transformer(files.image_transformer().state_dict())
    read = Weights.find([files.save_safetensors(tmp_path / SHARDED, state)]).read("transformer")
    theirs = single_file_utils.convert_wan_transformer_to_diffusers(dict(state))
    assert read.keys() == theirs.keys()
    assert all(torch.equal(read[name], theirs[name]) for name in read)


def test_the_vaes_names_are_those_that_diffusers_converts_to(tmp_path: Path) -> None:
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
def test_either_name_of_the_tied_embedding_is_accepted(kept: str, tmp_path: Path) -> None:
    state = files.text_encoder().state_dict()
    untied = {name: each for name, each in state.items() if name == kept or "encoder.block" in name or "norm" in name}
    files.save_safetensors(tmp_path / "text_encoder" / "model.safetensors", untied)
    read = Weights.find([tmp_path]).read("text_encoder")
    assert read.keys() == state.keys()
    assert read["shared.weight"] is read["encoder.embed_tokens.weight"]


def test_averaged_weights_are_used_unless_plain_ones_are_requested(tmp_path: Path) -> None:
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


def test_a_later_path_wins_and_every_part_is_reported(tmp_path: Path) -> None:
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


def test_pickles_older_than_torch_1_6_are_read(tmp_path: Path) -> None:
    state = files.tiny_vae().state_dict()
    torch.save(
        {f"decoder.{name}": each for name, each in state.items()},
        tmp_path / "taew2_1.pth",
        _use_new_zipfile_serialization=False,
    )
    read = Weights.find([tmp_path]).read("tiny_vae")
    assert all(torch.equal(read[name], each) for name, each in state.items())
