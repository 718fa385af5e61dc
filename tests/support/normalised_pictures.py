"""An uploaded picture: its normalised form, or why it was refused."""

import io
from pathlib import Path

import pytest
from PIL import Image

from services.errors import InvalidUpload
from services.orchestrator.domain.media_info import PictureInfo
from services.orchestrator.media.picture import normalise


async def taken(data: bytes, folder: Path) -> tuple[PictureInfo, Image.Image]:
    (folder / "in").write_bytes(data)
    info = await normalise(folder / "in", folder / "out", field="picture")
    image = Image.open(io.BytesIO((folder / "out").read_bytes()))
    image.load()
    assert (image.width, image.height, image.mode) == (info.width, info.height, "RGB")
    assert image.format == {"image/png": "PNG", "image/jpeg": "JPEG"}[info.media_type]
    return info, image


async def refused(data: bytes, folder: Path) -> InvalidUpload:
    (folder / "in").write_bytes(data)
    with pytest.raises(InvalidUpload) as caught:
        await normalise(folder / "in", folder / "out", field="picture")
    (violation,) = caught.value.violations
    assert violation.field == "picture"
    assert violation.reason == caught.value.reason
    assert [path.name for path in folder.iterdir()] == ["in"], "nothing is left behind"
    return caught.value
