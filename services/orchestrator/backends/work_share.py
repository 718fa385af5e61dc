"""How much of the work of a video is done, for the progress bar."""

from services.orchestrator.backends.served_profile import BIDIRECTIONAL, GenerationPlan, ServedProfile

ENCODED = 0.05
"""Share of the work that is done when the inputs are encoded."""
DENOISED = 0.9
"""Share of the rest that is done when a bidirectional transformer has made its one block."""


def done_share(profile: ServedProfile, plan: GenerationPlan, frames: int) -> float:
    """Returns the share of the work that is done when so many frames are there, 0 to 1."""
    part = frames / plan.frames
    if profile.pipeline == BIDIRECTIONAL:  # by then the long part is over
        part = DENOISED + (1 - DENOISED) * part
    return ENCODED + (1 - ENCODED) * part
