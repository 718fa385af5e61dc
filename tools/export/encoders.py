"""The text and the image encoder: umT5 over bytes and CLIP vision, as Wan2.1 uses them."""

import torch
from transformers import CLIPVisionConfig, CLIPVisionModel, UMT5Config, UMT5EncoderModel

from tools.export.profile import Profile

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""What CLIP's pictures in [0, 1] are normalised with, per channel."""


class TextEncoder(torch.nn.Module):  # type: ignore[misc]
    """umT5, as Wan2.1 uses it: what is padding comes out as zero."""

    def __init__(self, model: UMT5EncoderModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Both INT64 (1, L) -> embeddings FP32 (1, L, D)."""
        hidden = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state  # (1, L, D)
        return hidden * attention_mask.unsqueeze(-1).to(hidden.dtype)


class ImageEncoder(torch.nn.Module):  # type: ignore[misc]
    """CLIP vision, as Wan2.1 uses it: the last hidden state but one."""

    def __init__(self, model: CLIPVisionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels FP32 (1, 3, S, S), CLIP-normalised -> tokens FP32 (1, T, D)."""
        tokens: torch.Tensor = self.model(pixel_values=pixels, output_hidden_states=True).hidden_states[-2]
        return tokens


def text_encoder(profile: Profile) -> TextEncoder:
    """A seeded, untrained text encoder."""
    size = profile.text_encoder
    torch.manual_seed(profile.seed)
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
    return TextEncoder(UMT5EncoderModel(config).eval())


def image_encoder(profile: Profile) -> ImageEncoder:
    """A seeded, untrained image encoder; its weights are widened, for CLIP's own start of 0.02 hardly mixes."""
    size = profile.image_encoder
    torch.manual_seed(profile.seed + 1)
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
    return ImageEncoder(CLIPVisionModel(config).eval())


def tokenize(text: str, length: int) -> tuple[list[int], list[int]]:
    """Bytes as tokens: (ids, mask), each `length` long; what does not fit before the end token is cut off."""
    ids = [byte + 3 for byte in text.encode()[: length - 1]] + [1]
    return ids + [0] * (length - len(ids)), [1] * len(ids) + [0] * (length - len(ids))
