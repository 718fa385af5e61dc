"""How the transformer and the decoder overlap: a block is decoded while the next one is made, as under Triton."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Span:
    """When a block was made, or decoded; seconds since the video began."""

    what: str
    block: int
    begin_s: float
    end_s: float


def overlapped(blocks: Iterator[Any], decode: Callable[[Any], Any], latent: Any) -> list[Span]:
    """The loop and the decoder at the same time, as Triton runs them: a block is decoded while the next is made."""
    began = time.perf_counter()
    spans: list[Span] = []
    made: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def make() -> None:
        last = 0.0
        for index, block in enumerate(blocks):
            now = time.perf_counter() - began
            spans.append(Span("transformer", index, last, now))
            made.put(block.latents)
            last = now
        made.put(None)

    maker = threading.Thread(target=make)
    maker.start()
    decode(latent)
    index = -1
    while (latents := made.get()) is not None:
        index += 1
        begin = time.perf_counter() - began
        decode(latents)
        spans.append(Span("decoder", index, begin, time.perf_counter() - began))
    maker.join()
    return spans


def trace(spans: list[Span], width: int = 72) -> Iterator[str]:
    """The spans as lines, a block each: = while the transformer makes it, # while it is decoded."""
    end = max(span.end_s for span in spans)
    for block in range(1 + max(span.block for span in spans)):
        line = [" "] * (width + 1)
        for span in spans:
            if span.block == block:
                for at in range(round(width * span.begin_s / end), round(width * span.end_s / end)):
                    line[at] = "=" if span.what == "transformer" else "#"
        yield f"  block {block:2} |{''.join(line).rstrip():{width}}|"


def share_overlapped(spans: list[Span]) -> float:
    """Share of the transformer's time, its first block left out, in which the decoder works too."""
    making = [span for span in spans if span.what == "transformer" and span.block > 0]
    decoding = [span for span in spans if span.what == "decoder"]
    both = sum(
        max(0.0, min(one.end_s, other.end_s) - max(one.begin_s, other.begin_s)) for one in making for other in decoding
    )
    return both / sum(span.end_s - span.begin_s for span in making)
