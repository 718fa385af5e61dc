"""`i2v admin`, to which each noun adds its commands."""

from services.client.commands import i2v


@i2v.group()
def admin() -> None:
    """For operators, with their key."""
