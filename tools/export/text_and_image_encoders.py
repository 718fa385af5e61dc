"""The text and the image encoder: umT5 and CLIP vision, as Wan2.1 uses them."""

from collections.abc import Iterator

import torch
from torch.nn.functional import interpolate
from transformers import CLIPVisionConfig, CLIPVisionModel, UMT5Config, UMT5EncoderModel

from tools.export import profile as profiles
from tools.export.graph import DTYPES, Graph
from tools.export.module_weights import ModuleWeights
from tools.export.profile import Profile

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""What CLIP's pictures in [0, 1] are normalised with, per channel."""


class TextEncoder(torch.nn.Module):  # type: ignore[misc]
    """umT5, as Wan2.1 uses it: padding becomes zero."""

    def __init__(self, model: UMT5EncoderModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Both INT64 (1, L) -> embeddings FP32 (1, L, D)."""
        hidden = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state  # (1, L, D)
        return hidden.float() * attention_mask.unsqueeze(-1)


class ImageEncoder(torch.nn.Module):  # type: ignore[misc]
    """CLIP vision, as Wan2.1 uses it: any picture is resized to CLIP's square, the last hidden state but one is out.

    Wan resizes without a filter against aliasing and without keeping the shape (`CLIPModel.visual` of its code).
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, model: CLIPVisionModel) -> None:
        super().__init__()
        self.model = model
        self.size: int = model.config.image_size
        self.register_buffer("mean", torch.tensor(CLIP_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(CLIP_STD).view(1, 3, 1, 1))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels FP32 (1, 3, H, W) in [-1, 1] -> tokens FP32 (1, T, D)."""
        square = interpolate(pixels, (self.size, self.size), mode="bicubic", align_corners=False)
        normal = (square * 0.5 + 0.5 - self.mean) / self.std
        dtype = next(self.model.parameters()).dtype
        tokens: torch.Tensor = self.model(pixel_values=normal.to(dtype), output_hidden_states=True).hidden_states[-2]
        return tokens.float()


def text_encoder(profile: Profile, module_weights: ModuleWeights) -> TextEncoder:
    """The profile's text encoder."""
    size = profile.text_encoder
    config = UMT5Config(
        vocab_size=size.vocabulary,
        d_model=size.width,
        d_kv=size.head_width,
        d_ff=size.feed_forward,
        num_layers=size.layers,
        num_heads=size.heads,
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
        pad_token_id=0,
        eos_token_id=1,
    )
    dtype = DTYPES[profile.engine.text_precision]
    made = module_weights.module("text_encoder", lambda: UMT5EncoderModel(config), dtype=dtype)
    if dtype is torch.float16:
        for name, parameter in made.named_parameters():
            if stays_fp32(name):
                parameter.data = parameter.data.float()
    return TextEncoder(made)


def stays_fp32(name: str) -> bool:
    """Whether a parameter of umT5 stays in FP32 where the rest is FP16, in which its products would overflow.

    The library keeps the same ones so, and adds in FP32 from there on (`_keep_in_fp32_modules`).
    """
    return "wo" in name.split(".")


def image_encoder(size: profiles.ImageEncoder, module_weights: ModuleWeights, dtype: torch.dtype) -> ImageEncoder:
    """An image encoder of this size; a drawn one is widened, for CLIP's own start of 0.02 hardly mixes."""
    config = CLIPVisionConfig(
        image_size=size.size,
        patch_size=size.patch,
        hidden_size=size.width,
        intermediate_size=size.feed_forward,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        hidden_act="gelu",
        initializer_factor=3.0,
    )
    return ImageEncoder(module_weights.module("image_encoder", lambda: CLIPVisionModel(config), dtype=dtype))


def text_graphs(profile: Profile, module_weights: ModuleWeights) -> Iterator[Graph]:
    """The text encoder's graph, held against torch on a short, an empty and a cut-off prompt."""
    length = profile.text_encoder.length
    examples = []
    for tokens in (length // 4, 1, length):
        ids = torch.randint(3, profile.text_encoder.vocabulary, (1, length))
        mask = (torch.arange(length) < tokens).long().unsqueeze(0)
        examples.append({"input_ids": ids * mask, "attention_mask": mask})
    yield Graph(
        file="text_encoder/1/model.onnx",
        module=text_encoder(profile, module_weights),
        examples=examples,
        inputs=["input_ids", "attention_mask"],
        outputs=["embeddings"],
        precision=profile.engine.text_precision,
        optimize=profile.engine.text_precision == "fp32",  # optimised, the graph would mix two precisions
    )


def image_graphs(profile: Profile, module_weights: ModuleWeights) -> Iterator[Graph]:
    """The image encoder's graph, if the profile has one, on pictures of several shapes."""
    if profile.image_encoder is None:
        return
    precision = profile.engine.picture_precision
    yield Graph(
        file="image_encoder/1/model.onnx",
        module=image_encoder(profile.image_encoder, module_weights, DTYPES[precision]),
        examples=[
            {"pixels": torch.rand(1, 3, height, width) * 2 - 1} for height, width in ((128, 224), (224, 128), (64, 64))
        ],
        inputs=["pixels"],
        outputs=["tokens"],
        dynamic={"pixels": (2, 3)},
        precision=precision,
    )
