"""The group `i2v assets`."""

from services.client.commands import i2v


@i2v.group()
def assets() -> None:
    """Finds and edits what you uploaded and what was made for you."""
