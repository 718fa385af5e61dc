"""The repository that an export fills: the models' configurations and code, set up for one profile.

`model_repository` holds them as nano is served, on a CPU, and is nano's own repository. Any other profile gets a folder
of its own, with the models that it has, placed where its engine says.
"""

import re
import shutil
from pathlib import Path

from tools.export.profile import Profile

SOURCE = Path(__file__).resolve().parents[2] / "model_repository"


def default(profile: str) -> Path:
    """Where the profile of a name is built when nothing else is said."""
    return Path("model_repository") if profile == "nano" else Path("var/models") / profile


def models(profile: Profile) -> list[str]:
    """The Triton models that a profile has."""
    optional = {
        "image_encoder": profile.image_encoder is not None,
        "vae_decoder_tiny": profile.tiny_vae is not None,
    }
    names = sorted(folder.name for folder in SOURCE.iterdir() if (folder / "config.pbtxt").is_file())
    return [name for name in names if optional.get(name, True)]


def prepare(profile: Profile, target: Path) -> None:
    """Puts configurations and code into the repository; the one in git is left as it is."""
    if target.resolve() == SOURCE:
        return
    for model in models(profile):
        for file in sorted((SOURCE / model).glob("1/*.py")):
            (target / model / "1").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target / model / "1" / file.name)
        (target / model / "1").mkdir(parents=True, exist_ok=True)
        text = (SOURCE / model / "config.pbtxt").read_text()
        (target / model / "config.pbtxt").write_text(configured(text, model, profile))


def configured(text: str, model: str, profile: Profile) -> str:
    """A model's config.pbtxt with the profile's device, slots and threads in it."""
    engine = profile.engine
    device = {"text_encoder": engine.text_device, "tokenizer": "cpu", "profile": "cpu"}.get(model, engine.device)
    if device == "gpu":
        text = text.replace("KIND_CPU", "KIND_GPU")
    for key, value in (
        ("slots", engine.slots),
        ("max_clips", engine.clips),
        ("intra_op_thread_count", engine.threads),
    ):
        text = re.sub(rf'(key: "{key}" value {{ string_value: ")\d+', rf"\g<1>{value}", text)
    return text
