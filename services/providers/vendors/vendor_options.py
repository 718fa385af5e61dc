"""The settings of a vendor, except how to reach it."""

from dataclasses import dataclass

from services.providers.task_failures import MISSING_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Plain values from the settings."""

    inline_bytes: int = 4_000_000
    """An input that is larger is uploaded instead of being part of the request."""
    upload_s: float = 120.0
    """Between two bytes of an upload."""
    submit_s: float = 60.0
    """Likewise of a submission."""
    webhook_url: str = ""
    """Receives the vendor's webhooks; the submission's id is appended. Empty: no webhooks."""
    kandinsky_image_field: str = "image"
    """WaveSpeed: its documentation names it in two ways."""
    upload_url: str = ""
    """fal: of its storage API. Empty: its own."""
    missing_s: float = MISSING_S
    """How long a vendor must deny a task before it counts as gone."""
