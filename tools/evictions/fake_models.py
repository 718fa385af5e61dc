"""The cards of small models on the fake backend, which makes a video in milliseconds."""

from pathlib import Path

CARDS = Path("tests/golden/models.toml")


def fake_models(folder: Path, fps: int = 8, timeout_s: int = 60) -> Path:
    """Writes `models.toml` with the golden cards, on the fake backend. Returns its path.

    `timeout_s` is the time of a job, waiting included.
    """
    text = CARDS.read_text().replace('backend = "test"', 'backend = "fake"')
    text = text.replace("fps = 8", f"fps = {fps}").replace("default_timeout_s = 60", f"default_timeout_s = {timeout_s}")
    models = folder / "models.toml"
    models.write_text(text)
    return models
