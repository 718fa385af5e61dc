"""Where a row's picture is: inside the input's folder, wherever links lead."""

import os
import stat
from pathlib import Path

from services.client.batch.row import BadRow


def picture_path(root: Path, name: str) -> Path:
    """Returns the file of a picture. Raises BadRow for one that is missing, no file, or outside the folder."""
    if "\0" in name:
        raise BadRow("the picture's name has a zero byte")
    if os.path.isabs(name) or ".." in Path(name).parts:
        raise BadRow(f"{name} leads out of the input's folder; name a picture in it")
    found = Path(os.path.realpath(root / name))
    if not found.is_relative_to(os.path.realpath(root)):
        raise BadRow(f"{name} is a link that leads out of the input's folder")
    try:
        mode = found.stat().st_mode
    except OSError as error:
        raise BadRow(f"the picture {name} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise BadRow(f"{name} is no file")
    return found
