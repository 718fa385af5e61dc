"""Where a part comes from, and where parts are looked for."""

from dataclasses import dataclass
from pathlib import Path

PARTS = ("text_encoder", "image_encoder", "vae", "transformer", "tiny_vae", "tokenizer")
"""All that a set of weights may hold; no model needs every one."""

WHERE = {
    "text_encoder": "text_encoder/*.safetensors (diffusers) or models_t5_umt5-xxl-enc-bf16.pth (Wan2.1)",
    "image_encoder": "image_encoder/*.safetensors (diffusers) or models_clip_*.pth (Wan2.1)",
    "vae": "vae/*.safetensors (diffusers) or Wan2.1_VAE.pth (Wan2.1)",
    "transformer": "transformer/*.safetensors (diffusers), diffusion_pytorch_model*.safetensors (Wan2.1) "
    "or a *.pt of Self-Forcing or Causal-Forcing",
    "tiny_vae": "taew2_1.pth (TAEHV)",
    "tokenizer": "tokenizer/tokenizer.json (diffusers) or google/umt5-xxl/tokenizer.json (Wan2.1)",
}
"""For each part, the files that it usually comes in."""


@dataclass(frozen=True)
class Source:
    """Where one part comes from."""

    part: str
    path: Path
    """The file, or the index of its shards."""
    layout: str
    """`diffusers`, `wan2.1`, `self-forcing` or `taehv`: how its tensors are named."""

    @property
    def file(self) -> str:
        """Its name, with its folder's where many files of other folders are called the same."""
        parent = self.path.parent.name
        return f"{parent}/{self.path.name}" if parent in PARTS else self.path.name

    def __str__(self) -> str:
        return f"{self.file} ({self.layout})"
