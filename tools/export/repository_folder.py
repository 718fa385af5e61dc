"""The repository that an export fills: the models' configurations and code, set up for one profile.

`model_repository` holds them as nano is served, on a CPU, and is nano's own repository. Any other profile gets a folder
of its own, with the models that it has, placed on the devices of its engine.
"""

import re
import shutil
from pathlib import Path

from tools.export.profile import Profile
from tools.export.profile_file import load

SOURCE = Path(__file__).resolve().parents[2] / "model_repository"

BUILT = (".onnx", ".data", ".safetensors", ".json")
"""What an export writes; everything else of a model is source."""


def default(profile: str) -> Path:
    """The default folder of a profile."""
    return Path("model_repository") if profile == "nano" else Path("var/models") / profile


def models(profile: Profile) -> list[str]:
    """The Triton models that a profile has."""
    optional = {
        "image_encoder": profile.image_encoder is not None,
        "vae_decoder_tiny": profile.tiny_vae is not None,
    }
    names = sorted(folder.name for folder in SOURCE.iterdir() if (folder / "config.pbtxt").is_file())
    return [name for name in names if optional.get(name, True)]


class NotTheirs(ValueError):
    """The repository in git is nano's, as its profile says, and nobody else's."""


def prepare(profile: Profile, target: Path) -> None:
    """Puts configurations and code into the repository, and takes away what an earlier profile had more.

    Raises:
        NotTheirs: the target is the repository in git, and the profile is not nano as it is shipped.
    """
    if target.resolve() == SOURCE:
        if profile != load("nano"):
            raise NotTheirs(
                f"{target} is nano's own, whose configurations are in git: build {profile.name!r} with this engine "
                "into a folder of its own, with --repository"
            )
        return
    wanted = models(profile)
    for folder in target.iterdir() if target.is_dir() else ():
        if (folder / "config.pbtxt").is_file() and folder.name not in wanted:
            shutil.rmtree(folder)
    for model in wanted:
        version = target / model / "1"
        version.mkdir(parents=True, exist_ok=True)
        code = sorted((SOURCE / model).glob("1/*.py"))
        for stale in {file.name for file in version.glob("*.py")} - {file.name for file in code}:
            (version / stale).unlink()
        for file in code:
            shutil.copyfile(file, version / file.name)
        text = (SOURCE / model / "config.pbtxt").read_text()
        (target / model / "config.pbtxt").write_text(configured(text, model, profile))


def clear(target: Path) -> None:
    """Takes away what an earlier export built: a graph too many would be loaded too."""
    for file in target.glob("*/1/*"):
        if file.suffix in BUILT:
            file.unlink()


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
