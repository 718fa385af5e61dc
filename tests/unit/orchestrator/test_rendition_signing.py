"""Pictures that show a generated video carry a manifest that names the video; those of uploads do not."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pytest
from PIL import Image
from prometheus_client import CollectorRegistry

from services.errors import NotFound, Unavailable
from services.orchestrator.assets.rendition_signing import RenditionSigning
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.content_credentials import Claim, Seal, Signer
from services.orchestrator.domain.manifest import Manifest
from services.orchestrator.domain.rendition import SIGNED, Recipe, Variant
from services.orchestrator.library_metrics import LibraryMetrics
from services.orchestrator.media.content_credentials import ContentCredentials
from services.orchestrator.media.probe import probe
from services.orchestrator.media.rendition_maker import SandboxedRenditions
from services.orchestrator.media.video_writer import VideoWriter
from services.orchestrator.ports.content_credentials import CannotSign
from services.orchestrator.ports.renditions import Made
from services.reasons import ServiceReason
from tests.support.builders import NOON
from tests.support.signers import a_signer

BODY = {"version": 1, "operation": "image_to_video", "seed": 7, "model": {"id": "nano"}, "prompt": "a secret wish"}
OF_VIDEOS = (Recipe.STILLS, Recipe.PREVIEW, Recipe.STORYBOARD, Recipe.CONTACT)


@dataclass(frozen=True)
class OneManifest:
    """The manifest of every asset."""

    body: dict[str, Any] | None

    async def get(self, sha256: str, *, tenant: str, user: str) -> tuple[Manifest, datetime]:
        raise NotFound("manifest", sha256)

    async def of_bytes(self, tenant: str, sha256: str) -> Manifest | None:
        return None if self.body is None else Manifest(sha256, self.body)


class FailingSigner(ContentCredentials):
    """Signs nothing."""

    failure: Exception

    def sign(self, path: Path, media_type: str, claim: Claim) -> Path:
        raise self.failure


@pytest.fixture(scope="module")
def signer() -> ContentCredentials:
    return a_signer()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Asset]:
    path = tmp_path_factory.mktemp("videos") / "video.mp4"
    writer = VideoWriter(320, 180, 16)
    y, x = np.mgrid[0:180, 0:320]
    for shift in range(32):
        frame = np.stack([(x + 5 * shift) % 256, (y * 2) % 256, (x + y) % 256], -1).astype(np.uint8)
        writer.add(frame[None])
    writer.finish(path)
    return path, Asset("studio", "ann", "f" * 64, path.stat().st_size, probe(path), NOON)


async def made(recipe: Recipe, video: tuple[Path, Asset], folder: Path) -> Made:
    path, asset = video
    return await SandboxedRenditions().make(recipe, path, asset.info, folder, tenant="studio")


def signing(signer: ContentCredentials, registry: CollectorRegistry, body: dict[str, Any] | None) -> RenditionSigning:
    return RenditionSigning(signer, OneManifest(body), LibraryMetrics(registry))


@pytest.mark.parametrize("recipe", OF_VIDEOS)
async def test_pictures_of_a_generated_video_are_genuine_and_look_the_same(
    signer: ContentCredentials,
    registry: CollectorRegistry,
    video: tuple[Path, Asset],
    tmp_path: Path,
    recipe: Recipe,
) -> None:
    before = await made(recipe, video, tmp_path)
    pictures = {each.variant: Image.open(path) for each, path in before.files if each.width is not None}
    pixels = {variant: np.asarray(image.convert("RGB")) for variant, image in pictures.items()}
    after = await signing(signer, registry, BODY).sign(video[1], before)
    assert [each.variant for each, _ in after.files] == [each.variant for each, _ in before.files]
    for rendition, path in after.files:
        assert rendition.size_bytes == path.stat().st_size
        found = signer.read(path)
        if rendition.variant not in SIGNED:
            assert found.seal is Seal.NONE
            continue
        assert (found.seal, found.signer, found.generated, found.faults) == (
            Seal.INTACT,
            Signer.DEVELOPMENT,
            True,
            (),
        )
        assert (found.facts["variant"], found.facts["video_sha256"]) == (rendition.variant, "f" * 64)
        assert found.facts["seed"] == 7
        assert b"secret wish" not in path.read_bytes()
        with Image.open(path) as image:
            assert getattr(image, "n_frames", 1) == getattr(pictures[rendition.variant], "n_frames", 1)
            assert np.array_equal(np.asarray(image.convert("RGB")), pixels[rendition.variant])


async def test_the_video_is_the_parent_of_the_picture(
    signer: ContentCredentials, registry: CollectorRegistry, video: tuple[Path, Asset], tmp_path: Path
) -> None:
    after = await signing(signer, registry, BODY).sign(video[1], await made(Recipe.STILLS, video, tmp_path))
    poster = next(path for each, path in after.files if each.variant is Variant.POSTER)
    with poster.open("rb") as file, c2pa.Reader("image/jpeg", file) as reader:
        read = json.loads(reader.json())
    manifest = read["manifests"][read["active_manifest"]]
    (parent,) = manifest["ingredients"]
    assert (parent["relationship"], parent["instance_id"]) == ("parentOf", f"sha256:{'f' * 64}")
    actions = next(each for each in manifest["assertions"] if each["label"].startswith("c2pa.actions"))
    assert [each["action"] for each in actions["data"]["actions"]] == ["c2pa.opened", "c2pa.converted"]


async def test_pictures_of_an_upload_claim_nothing(
    signer: ContentCredentials, registry: CollectorRegistry, video: tuple[Path, Asset], tmp_path: Path
) -> None:
    before = await made(Recipe.STILLS, video, tmp_path)
    assert await signing(signer, registry, None).sign(video[1], before) == before


@pytest.mark.parametrize(
    "failure",
    [CannotSign("no place"), Unavailable("no child", reason=ServiceReason.DECODER_UNAVAILABLE)],
)
async def test_a_picture_that_cannot_be_signed_stays_unsigned_and_is_counted(
    registry: CollectorRegistry,
    video: tuple[Path, Asset],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    failure: Exception,
) -> None:
    failing = FailingSigner(a_signer()._certificate, "0")
    failing.failure = failure
    before = await made(Recipe.STORYBOARD, video, tmp_path)
    assert await signing(failing, registry, BODY).sign(video[1], before) == before
    assert registry.get_sample_value("i2v_renditions_unsigned_total", {"variant": "storyboard"}) == 1
    assert "a rendition stays unsigned" in caplog.text


async def test_two_makers_sign_different_files_of_the_same_size(
    signer: ContentCredentials, registry: CollectorRegistry, video: tuple[Path, Asset], tmp_path: Path
) -> None:
    files, both = [], signing(signer, registry, BODY)
    for name in ("one", "other"):
        folder = tmp_path / name
        folder.mkdir()
        after = await both.sign(video[1], await made(Recipe.STILLS, video, folder))
        files.append([path.read_bytes() for each, path in after.files if each.variant in SIGNED])
    assert list(map(len, files[0])) == list(map(len, files[1]))
    assert not set(files[0]) & set(files[1])
