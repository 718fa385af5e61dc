"""A secret in a file is read again when it has changed; what cannot be used is logged once, without the secret."""

import logging
from pathlib import Path

import pytest
import urllib3

from services.errors import Unauthenticated
from services.live_secret import LiveSecret
from services.orchestrator.blob_stores import open_blobs
from services.orchestrator.blobs.s3_bucket import S3Bucket
from services.orchestrator.settings import Settings
from services.rpc import auth
from services.settings import BadSetting


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.write_text("first-key\n")
    return file


def test_a_new_secret_holds_from_the_next_use(file: Path) -> None:
    secret = LiveSecret("I2V_X_FILE", str(file))
    assert secret.text() == "first-key"
    file.write_text("second-key\n")
    assert secret.text() == "second-key"
    (file.parent / "new").write_text("third-key")
    (file.parent / "new").replace(file)
    assert secret.text() == "third-key"


@pytest.mark.parametrize("broken", ["", "two words", None])
def test_a_secret_that_cannot_be_used_is_said_once_and_the_one_before_it_stays(
    file: Path, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    secret = LiveSecret("I2V_X_FILE", str(file))
    file.unlink() if broken is None else file.write_text(broken)
    assert [secret.text(), secret.text()] == ["first-key"] * 2
    assert len(caplog.records) == 1 and "I2V_X_FILE names" in str(vars(caplog.records[0])["cause"])
    file.write_text("second-key")
    assert secret.text() == "second-key"


def test_a_secret_is_in_no_log_and_no_repr(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = LiveSecret("I2V_X_FILE", str(file))
    file.write_text("second-key")
    secret.text()
    file.write_text("a broken key")
    secret.text()
    said = "".join(str(vars(each)) for each in caplog.records) + repr(secret)
    assert len(caplog.records) == 2
    assert not any(word in said for word in ("first-key", "second-key", "broken"))


def test_without_a_file_a_secret_never_changes_and_a_missing_file_is_named(tmp_path: Path) -> None:
    assert LiveSecret("I2V_X_FILE", value="given").text() == "given"
    assert LiveSecret("I2V_X_FILE").text() == ""
    with pytest.raises(BadSetting, match=r"I2V_X_FILE names .*none, which cannot be read"):
        LiveSecret("I2V_X_FILE", str(tmp_path / "none"))


async def test_a_server_accepts_the_new_access_key_alone(file: Path) -> None:
    verify = auth.one_key(LiveSecret("I2V_X_FILE", str(file)).text, "orchestrator")
    assert (await verify("first-key")).tenant == "orchestrator"
    file.write_text("second-key")
    assert (await verify("second-key")).tenant == "orchestrator"
    with pytest.raises(Unauthenticated):
        await verify("first-key")


async def test_requests_to_s3_are_signed_with_the_newest_keys(file: Path) -> None:
    secret = file.with_name("secret")
    secret.write_text("secret-one")
    settings = Settings(
        blobs="s3",
        s3_endpoint="127.0.0.1:9",
        s3_access_key="first-key",
        s3_access_key_file=str(file),
        s3_secret_key="secret-one",
        s3_secret_key_file=str(secret),
    )
    blobs = open_blobs(settings)
    before = await blobs.signed_url("a", expires_s=60, download_name="a", media_type="video/mp4")
    file.write_text("second-key")
    after = await blobs.signed_url("a", expires_s=60, download_name="a", media_type="video/mp4")
    await blobs.close()
    assert "first-key" in str(before) and "second-key" in str(after)


def test_a_bucket_whose_keys_never_change_signs_with_those() -> None:
    bucket = S3Bucket("127.0.0.1:9", "some-key", "secret", "i2v")
    with urllib3.PoolManager() as http:
        assert "some-key" in bucket.client(http).presigned_get_object("i2v", "a")
