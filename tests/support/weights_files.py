"""Small modules with the libraries' classes, and checkpoint files of them in every layout that people have.

The names are made here from the libraries' by rules of this file's own, so that they can be held against the reader's.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModel, UMT5Config, UMT5EncoderModel

State = dict[str, torch.Tensor]
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 11361920418\n"


def drawn(module: nn.Module, seed: int) -> nn.Module:
    """Every parameter random: as the libraries start them, norms are all ones, and an exchange would not be noticed."""
    if not any(parameter.is_meta for parameter in module.parameters()):
        generator = torch.Generator().manual_seed(seed)
        for parameter in module.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2
    return module.eval()


def text_encoder(seed: int = 1) -> nn.Module:
    sizes = {"vocab_size": 30, "d_model": 8, "d_kv": 4, "d_ff": 12, "num_layers": 2, "num_heads": 3}
    return drawn(UMT5EncoderModel(UMT5Config(**sizes, feed_forward_proj="gated-gelu")), seed)


def image_encoder(seed: int = 1) -> nn.Module:
    sizes = {"image_size": 8, "patch_size": 4, "hidden_size": 8, "intermediate_size": 20}
    return drawn(CLIPVisionModel(CLIPVisionConfig(**sizes, num_hidden_layers=2, num_attention_heads=2)), seed)


def vae(seed: int = 1) -> nn.Module:
    return drawn(AutoencoderKLWan(base_dim=4, z_dim=4), seed)


def transformer(seed: int = 1, **image: int) -> nn.Module:
    sizes = {"num_attention_heads": 2, "attention_head_dim": 12, "in_channels": 4, "out_channels": 4, "num_layers": 2}
    model = WanTransformer3DModel(**sizes, text_dim=8, freq_dim=16, ffn_dim=32, rope_max_seq_len=16, **image)
    return drawn(model, seed)


def image_transformer(seed: int = 1) -> nn.Module:
    return transformer(seed, added_kv_proj_dim=24, image_dim=8)


class Memory(nn.Module):
    """TAEHV's block that sees the frame before."""

    def __init__(self, width: int) -> None:
        super().__init__()
        convolutions = [nn.Conv2d(fan_in, width, 3, padding=1) for fan_in in (2 * width, width, width)]
        self.conv = nn.Sequential(convolutions[0], nn.ReLU(), convolutions[1], nn.ReLU(), convolutions[2])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.conv(torch.cat((x, torch.zeros_like(x)), 1)) + x)


class Grow(nn.Module):
    def __init__(self, width: int, times: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width * times, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x).reshape(-1, *x.shape[1:])


def tiny_vae(seed: int = 1) -> nn.Module:
    """TAEHV's decoder, by its numbers."""
    layers: list[nn.Module] = [nn.Hardtanh(), nn.Conv2d(4, 6, 3, padding=1), nn.ReLU()]
    for times in (1, 2, 2):
        layers += [Memory(6), Memory(6), Memory(6), nn.Upsample(scale_factor=2), Grow(6, times)]
        layers += [nn.Conv2d(6, 6, 3, padding=1, bias=False)]
    return drawn(nn.Sequential(*layers, nn.ReLU(), nn.Conv2d(6, 3, 3, padding=1)), seed)


def _replaced(state: Mapping[str, torch.Tensor], *pairs: tuple[str, str]) -> State:
    renamed = {}
    for name, tensor in state.items():
        for library, file in pairs:
            name = re.sub(library, file, name)
        renamed[name] = tensor
    return renamed


def official_transformer(state: State) -> State:
    return _replaced(
        state,
        (r"^scale_shift_table$", "head.modulation"),
        (r"\.scale_shift_table$", ".modulation"),
        (r"^proj_out\.", "head.head."),
        (r"^(blocks\.\d+)\.norm2\.", r"\1.norm3."),
        (r"^condition_embedder\.image_embedder\.norm1", "img_emb.proj.0"),
        (r"^condition_embedder\.image_embedder\.norm2", "img_emb.proj.4"),
        (r"^condition_embedder\.image_embedder\.ff\.net\.0\.proj", "img_emb.proj.1"),
        (r"^condition_embedder\.image_embedder\.ff\.net\.2", "img_emb.proj.3"),
        (r"^condition_embedder\.time_proj", "time_projection.1"),
        (r"^condition_embedder\.(time|text)_embedder\.linear_1", r"\1_embedding.0"),
        (r"^condition_embedder\.(time|text)_embedder\.linear_2", r"\1_embedding.2"),
        (r"\.attn1\.", ".self_attn."),
        (r"\.attn2\.", ".cross_attn."),
        (r"\.to_([qkv])\.", r".\1."),
        (r"\.to_out\.0\.", ".o."),
        (r"\.add_([kv])_proj\.", r".\1_img."),
        (r"\.norm_added_k\.", ".norm_k_img."),
        (r"\.ffn\.net\.0\.proj\.", ".ffn.0."),
        (r"\.ffn\.net\.2\.", ".ffn.2."),
    )


def official_text_encoder(state: State) -> State:
    return _replaced(
        {name: tensor for name, tensor in state.items() if "embed_tokens" not in name},
        (r"^shared", "token_embedding"),
        (r"^encoder\.final_layer_norm", "norm"),
        (r"^encoder\.block\.(\d+)\.layer\.", r"blocks.\1."),
        (r"\.0\.SelfAttention\.relative_attention_bias", ".pos_embedding.embedding"),
        (r"\.0\.SelfAttention", ".attn"),
        (r"\.0\.layer_norm", ".norm1"),
        (r"\.1\.layer_norm", ".norm2"),
        (r"\.1\.DenseReluDense\.wi_0", ".ffn.gate.0"),
        (r"\.1\.DenseReluDense\.wi_1", ".ffn.fc1"),
        (r"\.1\.DenseReluDense\.wo", ".ffn.fc2"),
    )


def official_image_encoder(state: State) -> State:
    """With the text half, the scale and the head, which are not used here."""
    bare = {name.removeprefix("vision_model."): tensor for name, tensor in state.items()}
    for query in [name for name in bare if ".q_proj." in name]:
        three = [bare.pop(query.replace(".q_proj.", f".{each}_proj.")) for each in "qkv"]
        bare[query.replace("self_attn.q_proj", "attn.to_qkv")] = torch.cat(three)
    named = _replaced(
        bare,
        (r"^encoder\.layers\.", "transformer."),
        (r"layer_norm([12])", r"norm\1"),
        (r"self_attn\.out_proj", "attn.proj"),
        (r"mlp\.fc1", "mlp.0"),
        (r"mlp\.fc2", "mlp.2"),
        (r"^pre_layrnorm", "pre_norm"),
        (r"^post_layernorm", "post_norm"),
        (r"^embeddings\.class_embedding", "cls_embedding"),
        (r"^embeddings\.position_embedding\.weight", "pos_embedding"),
        (r"^embeddings\.patch_embedding", "patch_embedding"),
    )
    named["cls_embedding"] = named["cls_embedding"][None, None]
    named["pos_embedding"] = named["pos_embedding"][None]
    others = {"log_scale": torch.tensor(2.6), "textual.token_embedding.weight": torch.ones(3, 2)}
    return {f"visual.{name}": tensor for name, tensor in named.items()} | {"visual.head": torch.ones(8, 4)} | others


def official_vae(state: State) -> State:
    def row(match: re.Match[str]) -> str:
        place = 3 if match[2] == "upsamplers" else int(match[3])
        return f"decoder.upsamples.{4 * int(match[1]) + place}"

    renamed = {
        re.sub(r"^decoder\.up_blocks\.(\d)\.(resnets|upsamplers)\.(\d)", row, name): each
        for name, each in state.items()
    }
    return _replaced(
        renamed,
        (r"^quant_conv", "conv1"),
        (r"^post_quant_conv", "conv2"),
        (r"^(en|de)coder\.conv_in", r"\1coder.conv1"),
        (r"norm_out", "head.0"),
        (r"conv_out", "head.2"),
        (r"^encoder\.down_blocks", "encoder.downsamples"),
        (r"mid_block\.resnets\.0", "middle.0"),
        (r"mid_block\.resnets\.1", "middle.2"),
        (r"mid_block\.attentions\.0", "middle.1"),
        (r"(samples\.\d+|middle\.[02])\.norm1", r"\1.residual.0"),
        (r"(samples\.\d+|middle\.[02])\.conv1", r"\1.residual.2"),
        (r"(samples\.\d+|middle\.[02])\.norm2", r"\1.residual.3"),
        (r"(samples\.\d+|middle\.[02])\.conv2", r"\1.residual.6"),
        (r"conv_shortcut", "shortcut"),
    )


def save_safetensors(path: Path, state: State, *, shards: int = 1) -> Path:
    """One file, or as many as asked for and their index, whose path comes back."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {name: tensor.contiguous().clone() for name, tensor in state.items()}
    if shards == 1:
        save_file(whole, path)
        return path
    files = [f"{path.stem}-{n + 1:05}-of-{shards:05}.safetensors" for n in range(shards)]
    where = {name: files[n % shards] for n, name in enumerate(whole)}
    for file in files:
        save_file({name: each for name, each in whole.items() if where[name] == file}, path.with_name(file))
    index = path.with_name(path.name + ".index.json")
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": where}))
    return index


def save_pickle(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return path


def in_diffusers(part: str, name: str = "diffusion_pytorch_model", shards: int = 1) -> Callable[[Path, State], Path]:
    """Writes a folder as diffusers saves it, as far as this part goes."""

    def write(folder: Path, state: State) -> Path:
        untied = {key: each for key, each in state.items() if "embed_tokens" not in key}
        save_safetensors(folder / part / f"{name}.safetensors", untied, shards=shards)
        (folder / part / "config.json").write_text("{}")
        return folder

    return write


def older_image_encoder(folder: Path, state: State) -> Path:
    """As transformers wrote it before release 5."""
    prefixed = {f"vision_model.{name.removeprefix('vision_model.')}": each for name, each in state.items()}
    prefixed["vision_model.embeddings.position_ids"] = torch.arange(5)[None]
    save_safetensors(folder / "image_encoder" / "model.safetensors", prefixed)
    return folder


def official(file: str, named: Callable[[State], State], shards: int = 1) -> Callable[[Path, State], Path]:
    """Writes a folder as Wan2.1 comes, as far as this file goes."""

    def write(folder: Path, state: State) -> Path:
        if file.endswith(".safetensors"):
            save_safetensors(folder / file, named(state), shards=shards)
        else:
            save_pickle(folder / file, named(state))
        return folder

    return write


def generator(state: State, leftover: str = "") -> State:
    """The state dict of Self-Forcing's wrapper around the transformer."""
    named = official_transformer(state)
    return {f"model.{leftover}" + name.replace("blocks.1.", f"blocks.1.{leftover}"): named[name] for name in named}


def self_forcing(*names: str, leftover: str = "") -> Callable[[Path, State], Path]:
    """Writes a training checkpoint: the first of `names` has the weights, the others have them negated."""

    def write(folder: Path, state: State) -> Path:
        made = generator(state, leftover)
        other = {name: -each for name, each in made.items()}
        content = {name: made if name == names[0] else other for name in names} or made
        return save_pickle(folder / "causal_forcing.pt", content)

    return write


def taehv(folder: Path, state: State) -> Path:
    """Writes taew2_1.pth, encoder and all."""
    encoder = {"encoder.0.weight": torch.ones(2, 2), "encoder.4.conv.0.bias": torch.ones(2)}
    return save_pickle(folder / "taew2_1.pth", encoder | {f"decoder.{name}": each for name, each in state.items()})


def tokenizer(folder: Path, where: str) -> Path:
    path = folder / where / "tokenizer.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"version": "1.0"}')
    return path
