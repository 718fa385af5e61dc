"""Videos from the shipped graphs as they are served, without Triton: the models' own code in this process."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from tools.model_code import REPOSITORY
from tools.model_code import load as model_code

Frames = npt.NDArray[np.uint8]
"""(frames, height, width, 3)."""

LONGEST = 21
"""Latent frames of a whole video: 81 frames."""


def as_input(pixels: Frames) -> npt.NDArray[np.float32]:
    """A picture (H, W, 3) as the encoders take it, (1, 3, H, W) in [-1, 1]."""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1)


class LocalPipeline:
    """One repository's models."""

    def __init__(self, repository: Path = REPOSITORY, threads: int = 2) -> None:
        settings = model_code("transformer", "transformer_settings")
        runtime = model_code("transformer", "network_runtime_onnx")
        self._rollout = model_code("transformer", "causal_pipeline")
        self._decode = model_code("vae_decoder", "latent_decoder")
        folder = {
            model: repository / model / "1" for model in ("transformer", "vae_decoder", "vae_encoder", "tokenizer")
        }
        known = settings.Settings.read(folder["transformer"])
        self._video = self._rollout.Rollout(runtime.OnnxRuntime(folder["transformer"], known, threads, "cpu"))
        self._decoder = self._decode.Decoder(folder["vae_decoder"], threads)
        self._encoder = model_code("vae_encoder", "picture_encoder").Encoder(folder["vae_encoder"], threads)
        self._tokens = model_code("tokenizer", "tokenize_prompt").PromptTokenizer(folder["tokenizer"])
        self._text, self._image = (
            runtime.session(repository / model / "1/model.onnx", threads) for model in ("text_encoder", "image_encoder")
        )

    def through(self, pixels: Frames) -> Frames:
        """A picture, (H, W, 3), through the VAE, (1, H, W, 3)."""
        made: Frames = self._decoder.decode(self._decode.Clip(), self._encoder.encode(as_input(pixels)))
        return made

    def video(self, pixels: Frames, prompt: str, latents: int = LONGEST, seed: int = 1) -> Frames:
        """A video of 1 + 4 (latents - 1) frames."""
        clip = as_input(pixels)
        ids, mask = self._tokens(prompt)
        first = self._encoder.encode(clip)
        request = self._rollout.Request(
            prompt_embeddings=self._text.run(None, {"input_ids": ids, "attention_mask": mask})[0],
            image_tokens=self._image.run(None, {"pixels": clip})[0],
            image_latent=first,
            latent_size=first.shape[3:],
            latent_frames=latents,
            seed=seed,
        )
        place = self._decode.Clip()
        parts = [self._decoder.decode(place, first)]
        parts += [self._decoder.decode(place, block.latents) for block in self._video.blocks(request)]
        return np.concatenate(parts)
