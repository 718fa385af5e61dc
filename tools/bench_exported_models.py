"""Times the exported graphs of a profile, stage by stage, in this process."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from tools.bench_overlap import Span, overlapped
from tools.bench_video import HEIGHT, PROMPT, WIDTH, timed
from tools.export.profile import Profile
from tools.model_code import REPOSITORY, load

OVERLAPPED = "loop and decode overlapped"


def exported_times(chosen: Profile, pixels: torch.Tensor, threads: int) -> tuple[dict[str, float], list[Span]]:
    """Seconds of each stage on the exported graphs, and when each block was made and decoded."""
    code, decode_code = load("transformer", "causal_pipeline"), load("vae_decoder", "latent_decoder")
    runtime, folder = load("transformer", "network_runtime_onnx"), REPOSITORY / "transformer" / "1"
    settings = load("transformer", "transformer_settings").Settings.read(folder)
    yield_cores = load("transformer", "cpu_priority").yield_cores
    with ThreadPoolExecutor(1, initializer=yield_cores) as maker:  # as under Triton
        rollout = code.Rollout(maker.submit(runtime.OnnxRuntime, folder, settings, threads, "cpu").result())
    decoder = decode_code.Decoder(REPOSITORY / "vae_decoder" / "1", threads)
    picture_encoder = load("vae_encoder", "picture_encoder").Encoder(REPOSITORY / "vae_encoder" / "1", threads)
    text, image = (
        runtime.session(REPOSITORY / each / "1" / "model.onnx", threads) for each in ("text_encoder", "image_encoder")
    )
    ids, mask = load("tokenizer", "tokenize_prompt").PromptTokenizer(REPOSITORY / "tokenizer" / "1")(PROMPT)

    def encode() -> Any:
        return (
            text.run(None, {"input_ids": ids, "attention_mask": mask})[0],
            image.run(None, {"pixels": pixels.numpy()})[0],
            picture_encoder.encode(pixels.numpy()),
        )

    def request(frames: int) -> Any:
        return code.Request(
            prompt_embeddings=prompt,
            image_tokens=tokens,
            image_latent=latent,
            latent_size=(HEIGHT // 8, WIDTH // 8),
            latent_frames=frames,
            seed=1,
        )

    def blocks_of_maker() -> Iterator[Any]:
        yield_cores()
        yield from rollout.blocks(request(settings.max_latents))

    prompt, tokens, latent = encode()
    rollout.warm_up()
    warm = [made.latents for made in rollout.blocks(request(1 + settings.block_latents))]
    decoder.decode(decode_code.Clip(), np.concatenate((latent, *warm), 2))
    times: dict[str, float] = {}
    with timed(times, "encoders"):
        encode()
    with timed(times, "transformer"):
        blocks = [made.latents for made in rollout.blocks(request(settings.max_latents))]
    with timed(times, "VAE decode"):
        clip = decode_code.Clip()
        for each in (latent, *blocks):
            decoder.decode(clip, each)
    if chosen.tiny_vae is not None:
        tiny = decode_code.Decoder(REPOSITORY / "vae_decoder_tiny" / "1", threads)
        tiny.decode(decode_code.Clip(), np.concatenate((latent, *warm), 2))
        with timed(times, "tiny VAE decode"):
            clip = decode_code.Clip()
            for each in (latent, *blocks):
                tiny.decode(clip, each)
    clip = decode_code.Clip()
    spans = overlapped(blocks_of_maker(), lambda each: decoder.decode(clip, each), latent)
    times[OVERLAPPED] = max(span.end_s for span in spans)
    times["  of which to the first block"] = min(span.end_s for span in spans if span.what == "decoder")
    return times, spans
