"""The metrics of the local engines, as a worker sees them."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Summary

from services.orchestrator.meters import duration
from services.orchestrator.meters.label_names import LabelNames
from services.orchestrator.ports.engine_meter import EngineMeter


class EngineMetrics:
    """The metrics of all backends. One per registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.names = LabelNames()
        self.block = Summary(
            "i2v_block_seconds",
            "From a block of latents, or the request, to the next block of the same video. The first one includes the "
            "wait for a slot of the transformer.",
            ["backend", "model"],
            registry=registry,
        )
        self.decode = Summary(
            "i2v_decode_seconds",
            "The decoder's time for a piece of a video, from when both the piece and the one before it were there.",
            ["backend", "model"],
            registry=registry,
        )
        self.encode = Summary(
            "i2v_encode_seconds", "The encoding of a fragment in the worker.", ["backend", "model"], registry=registry
        )
        self.frames = Counter(
            "i2v_engine_frames_total",
            "Frames of these pieces and fragments; `step` is `decode` or `encode`.",
            ["backend", "model", "step"],
            registry=registry,
        )
        self.served = Gauge(
            "i2v_engine_model_ready",
            "1 if a model of the engine answered the worker's last check; 0 if its process is dead or it is not "
            "loaded. While the server itself cannot be reached, the value stays.",
            ["backend", "server", "part"],
            registry=registry,
        )

    def of(self, backend: str, server: str) -> EngineMeter:
        """Returns the meter of one server of a backend."""
        return ServerEngineMeter(self, self.names.backend(backend), server)


class ServerEngineMeter(EngineMeter):
    """The meter of one server."""

    def __init__(self, metrics: EngineMetrics, backend: str, server: str) -> None:
        self._metrics, self._backend, self._server = metrics, backend, server
        self._parts: set[str] = set()

    def block(self, model: str, seconds: float) -> None:
        """Records the time of a block."""
        duration.add(self._metrics.block.labels(self._backend, self._metrics.names.model(model)), seconds)

    def decoded(self, model: str, seconds: float, frames: int) -> None:
        """Records the time of a decoded piece."""
        self._step("decode", self._metrics.decode, model, seconds, frames)

    def encoded(self, model: str, seconds: float, frames: int) -> None:
        """Records the time of an encoded fragment."""
        self._step("encode", self._metrics.encode, model, seconds, frames)

    def served(self, part: str, *, ready: bool) -> None:
        """Sets whether a model of the engine answers."""
        shown = self._metrics.names.word(part)
        self._parts.add(shown)
        self._metrics.served.labels(self._backend, self._server, shown).set(ready)

    def closed(self) -> None:
        """Removes what is shown of the server's models."""
        for part in self._parts:
            self._metrics.served.remove(self._backend, self._server, part)
        self._parts.clear()

    def _step(self, step: str, summary: Summary, model: str, seconds: float, frames: int) -> None:
        shown = self._metrics.names.model(model)
        duration.add(summary.labels(self._backend, shown), seconds)
        self._metrics.frames.labels(self._backend, shown, step).inc(frames)
