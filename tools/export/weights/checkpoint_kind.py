"""The kinds of file that are known: by which names they are told apart, and which table their names go through."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import torch

from tools.export.weights import official_names
from tools.export.weights.name_table import UNKNOWN, Table
from tools.export.weights.source import Source

TIED = {"encoder.embed_tokens.weight": "shared.weight"}
"""Names of the text encoder under which the library holds a tensor once more; files have one of the two, or both."""


@dataclass(frozen=True)
class Kind:
    """Files of one part in one layout."""

    part: str
    layout: str
    table: Table
    marks: frozenset[str]
    """Names, without the prefix, that every such file holds and that together tell it from the others."""

    def to_library(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Tensors of such a file under the names of the library's class."""
        prefix = _library_prefix(self.part)
        renamed = {
            name if name.startswith(UNKNOWN) else prefix + name: each
            for name, each in self.table.to_library(tensors).items()
        }
        if self.part == "text_encoder":
            for one, other in (*TIED.items(), *((there, here) for here, there in TIED.items())):
                if other in renamed:
                    renamed.setdefault(one, renamed[other])
        return renamed

    def to_file(self, name: str) -> str:
        """What such a file calls a tensor of the library."""
        return self.table.to_file(TIED.get(name, name).removeprefix(_library_prefix(self.part)))


KINDS = (
    Kind(
        "transformer",
        "diffusers",
        Table(aside=official_names.TRANSFORMER_ASIDE),
        frozenset({"condition_embedder.time_proj.weight", "scale_shift_table"}),
    ),
    Kind(
        "transformer",
        "wan2.1",
        Table(official_names.TRANSFORMER_RULES, aside=official_names.TRANSFORMER_ASIDE),
        frozenset({"time_projection.1.weight", "head.modulation"}),
    ),
    # As Wan2.1 names them, under the wrapper that Self-Forcing and Causal-Forcing train.
    Kind(
        "transformer",
        "self-forcing",
        Table(official_names.TRANSFORMER_RULES, prefix="model.", aside=official_names.TRANSFORMER_ASIDE),
        frozenset({"time_projection.1.weight", "head.modulation"}),
    ),
    Kind(
        "text_encoder",
        "diffusers",
        Table(aside=(r"decoder\..*", r"lm_head\..*", "spiece_model")),  # of whole models, and of ComfyUI's files
        frozenset({"encoder.block.0.layer.0.SelfAttention.q.weight", "encoder.final_layer_norm.weight"}),
    ),
    Kind(
        "text_encoder",
        "wan2.1",
        official_names.TEXT_ENCODER,
        frozenset({"token_embedding.weight", "blocks.0.pos_embedding.embedding.weight"}),
    ),
    # Older releases of transformers, which wrote the files that people have, put the prefix before every name.
    Kind(
        "image_encoder",
        "diffusers",
        Table(
            prefix="vision_model.",
            aside=(r"embeddings\.position_ids", r"text_model\..*", r"(text|visual)_projection\..*", "logit_scale"),
        ),
        frozenset({"embeddings.class_embedding", "pre_layrnorm.weight"}),
    ),
    Kind(
        "image_encoder",
        "wan2.1",
        official_names.IMAGE_ENCODER,
        frozenset({"visual.cls_embedding", "visual.pos_embedding"}),
    ),
    Kind(
        "vae",
        "diffusers",
        Table(),
        frozenset({"post_quant_conv.weight", "decoder.up_blocks.0.resnets.0.norm1.gamma"}),
    ),
    Kind("vae", "wan2.1", official_names.VAE, frozenset({"conv2.weight", "decoder.upsamples.0.residual.0.gamma"})),
    # The encoder is known, and not used: pictures are encoded by the full VAE.
    Kind(
        "tiny_vae",
        "taehv",
        Table(prefix="decoder.", aside=(r"encoder\..*",)),
        frozenset({"1.weight", "3.conv.0.weight", "22.weight"}),
    ),
)


def kind_of(names: Iterable[str]) -> Kind | None:
    """The kind of a file that holds these names, or None where it is none of them."""
    names = tuple(names)
    for kind in KINDS:
        if kind.marks <= {kind.table.bare(name) for name in names}:
            return kind
    return None


def kind_from(source: Source) -> Kind:
    """The kind of file that a part comes from."""
    return next(kind for kind in KINDS if (kind.part, kind.layout) == (source.part, source.layout))


@cache
def _library_prefix(part: str) -> str:
    """What the installed library puts before every name of a class; releases of transformers differ about CLIP's."""
    if part != "image_encoder":
        return ""
    from transformers import CLIPVisionConfig, CLIPVisionModel

    with torch.device("meta"):
        tiny = CLIPVisionConfig(
            image_size=2, patch_size=1, hidden_size=2, intermediate_size=2, num_hidden_layers=1, num_attention_heads=1
        )
        names = CLIPVisionModel(tiny).state_dict()
    return "vision_model." if any(name.startswith("vision_model.") for name in names) else ""
