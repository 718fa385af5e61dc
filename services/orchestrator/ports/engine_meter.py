"""Metrics of the local engine."""


class EngineMeter:
    """Measures the work of one engine's models. This one does nothing. Raises nothing."""

    def block(self, model: str, seconds: float) -> None:
        """The transformer made a block of a video of this model, after the one before it or after the request."""

    def decoded(self, model: str, seconds: float, frames: int) -> None:
        """The decoder made frames of latents that waited for nothing else of their video."""

    def encoded(self, model: str, seconds: float, frames: int) -> None:
        """Frames became a fragment."""

    def served(self, part: str, *, ready: bool) -> None:
        """One of the models that the engine is made of answers, or its process is dead or not loaded."""

    def closed(self) -> None:
        """The engine is not used any more."""
