"""The names in Wan2.1's own files, part by part.

diffusers converts the transformer and the VAE too, but hands on what it does not know, and cannot say what a tensor is
called in the file; the tests hold these tables against it.
"""

from collections.abc import Callable

import torch

from tools.export.weights.name_table import Rule, Table

_CONDITION = "condition_embedder"
_ATTENTION = (
    ("q", "to_q"),
    ("k", "to_k"),
    ("v", "to_v"),
    ("o", "to_out.0"),
    ("norm_q", "norm_q"),
    ("norm_k", "norm_k"),
)
_IMAGE_ATTENTION = (("k_img", "add_k_proj"), ("v_img", "add_v_proj"), ("norm_k_img", "norm_added_k"))

TRANSFORMER_RULES = (
    Rule("patch_embedding", "patch_embedding"),
    Rule("time_embedding.0", f"{_CONDITION}.time_embedder.linear_1"),
    Rule("time_embedding.2", f"{_CONDITION}.time_embedder.linear_2"),
    Rule("time_projection.1", f"{_CONDITION}.time_proj"),
    Rule("text_embedding.0", f"{_CONDITION}.text_embedder.linear_1"),
    Rule("text_embedding.2", f"{_CONDITION}.text_embedder.linear_2"),
    Rule("img_emb.proj.0", f"{_CONDITION}.image_embedder.norm1"),
    Rule("img_emb.proj.1", f"{_CONDITION}.image_embedder.ff.net.0.proj"),
    Rule("img_emb.proj.3", f"{_CONDITION}.image_embedder.ff.net.2"),
    Rule("img_emb.proj.4", f"{_CONDITION}.image_embedder.norm2"),
    Rule("blocks.#.modulation", "blocks.#.scale_shift_table"),
    *(Rule(f"blocks.#.self_attn.{ours}", f"blocks.#.attn1.{theirs}") for ours, theirs in _ATTENTION),
    *(Rule(f"blocks.#.cross_attn.{ours}", f"blocks.#.attn2.{theirs}") for ours, theirs in _ATTENTION),
    *(Rule(f"blocks.#.cross_attn.{ours}", f"blocks.#.attn2.{theirs}") for ours, theirs in _IMAGE_ATTENTION),
    # The file's norm 3 stands second. Its norms 1 and 2, the library's 1 and 3, have no weights.
    Rule("blocks.#.norm3", "blocks.#.norm2"),
    Rule("blocks.#.ffn.0", "blocks.#.ffn.net.0.proj"),
    Rule("blocks.#.ffn.2", "blocks.#.ffn.net.2"),
    Rule("head.modulation", "scale_shift_table"),
    Rule("head.head", "proj_out"),
)
TRANSFORMER_ASIDE = ("freqs",)

TEXT_ENCODER = Table(
    (
        Rule("token_embedding", "shared"),
        Rule("blocks.#.norm1", "encoder.block.#.layer.0.layer_norm"),
        *(Rule(f"blocks.#.attn.{each}", f"encoder.block.#.layer.0.SelfAttention.{each}") for each in "qkvo"),
        Rule("blocks.#.pos_embedding.embedding", "encoder.block.#.layer.0.SelfAttention.relative_attention_bias"),
        Rule("blocks.#.norm2", "encoder.block.#.layer.1.layer_norm"),
        Rule("blocks.#.ffn.gate.0", "encoder.block.#.layer.1.DenseReluDense.wi_0"),
        Rule("blocks.#.ffn.fc1", "encoder.block.#.layer.1.DenseReluDense.wi_1"),
        Rule("blocks.#.ffn.fc2", "encoder.block.#.layer.1.DenseReluDense.wo"),
        Rule("norm", "encoder.final_layer_norm"),
    )
)


def _third(index: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Query, key or value of the three in one."""
    return lambda tensor: tensor.unflatten(0, (3, -1))[index] if tensor.shape[0] % 3 == 0 else tensor


def _unbatched(dimensions: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Without the batch of one that the file puts first."""

    def take(tensor: torch.Tensor) -> torch.Tensor:
        while tensor.ndim > dimensions and tensor.shape[0] == 1:
            tensor = tensor[0]
        return tensor

    return take


IMAGE_ENCODER = Table(
    (
        Rule("visual.cls_embedding", "embeddings.class_embedding", _unbatched(1)),
        Rule("visual.patch_embedding", "embeddings.patch_embedding"),
        Rule("visual.pos_embedding", "embeddings.position_embedding.weight", _unbatched(2)),
        Rule("visual.pre_norm", "pre_layrnorm"),  # the library's spelling
        Rule("visual.transformer.#.norm1", "encoder.layers.#.layer_norm1"),
        *(
            Rule("visual.transformer.#.attn.to_qkv", f"encoder.layers.#.self_attn.{name}_proj", _third(index))
            for index, name in enumerate("qkv")
        ),
        Rule("visual.transformer.#.attn.proj", "encoder.layers.#.self_attn.out_proj"),
        Rule("visual.transformer.#.norm2", "encoder.layers.#.layer_norm2"),
        Rule("visual.transformer.#.mlp.0", "encoder.layers.#.mlp.fc1"),
        Rule("visual.transformer.#.mlp.2", "encoder.layers.#.mlp.fc2"),
        Rule("visual.post_norm", "post_layernorm"),
    ),
    aside=(r"textual\..*", "log_scale", r"visual\.head"),
)


def _residual(file: str, library: str) -> tuple[Rule, ...]:
    names = (("residual.0", "norm1"), ("residual.2", "conv1"), ("residual.3", "norm2"), ("residual.6", "conv2"))
    return tuple(
        Rule(f"{file}.{ours}", f"{library}.{theirs}") for ours, theirs in (*names, ("shortcut", "conv_shortcut"))
    )


def _resample(file: str, library: str) -> tuple[Rule, ...]:
    return tuple(Rule(f"{file}.{name}", f"{library}.{name}") for name in ("resample.1", "time_conv"))


def _ends(half: str) -> tuple[Rule, ...]:
    """What encoder and decoder have alike."""
    return (
        Rule(f"{half}.conv1", f"{half}.conv_in"),
        *_residual(f"{half}.middle.0", f"{half}.mid_block.resnets.0"),
        *(
            Rule(f"{half}.middle.1.{each}", f"{half}.mid_block.attentions.0.{each}")
            for each in ("norm", "to_qkv", "proj")
        ),
        *_residual(f"{half}.middle.2", f"{half}.mid_block.resnets.1"),
        Rule(f"{half}.head.0", f"{half}.norm_out"),
        Rule(f"{half}.head.2", f"{half}.conv_out"),
    )


def _upsamples() -> tuple[Rule, ...]:
    """The file counts the decoder's layers in a row; the library has them in four blocks of three and an upsampler."""
    rules: list[Rule] = []
    for layer in range(15):
        block, place = divmod(layer, 4)
        file, library = f"decoder.upsamples.{layer}", f"decoder.up_blocks.{block}"
        rules += (
            _resample(file, f"{library}.upsamplers.0") if place == 3 else _residual(file, f"{library}.resnets.{place}")
        )
    return tuple(rules)


VAE = Table(
    (
        *_ends("encoder"),
        *_residual("encoder.downsamples.#", "encoder.down_blocks.#"),
        *_resample("encoder.downsamples.#", "encoder.down_blocks.#"),
        Rule("conv1", "quant_conv"),
        Rule("conv2", "post_quant_conv"),
        *_ends("decoder"),
        *_upsamples(),
    )
)
