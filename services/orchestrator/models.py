"""Brings a model repository to a Triton, and checks every byte: `python -m services.orchestrator.models`.

The digest of a repository is the SHA-256 of its list of files: a line `SHA-256  PATH` each, sorted by path. Triton runs
the Python files of a repository, so they count too.
"""

import argparse
import hashlib
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from services.file_permissions import restrict_umask
from services.orchestrator.blob_settings import BlobSettings
from services.settings import BadSetting

PREFIX, S3 = "I2V_", "s3://"
DONE = ".digest"
"""A file in a filled folder, with the digest that was checked. Written last."""
MESSAGE = 300
"""Characters of a store's error that are shown."""
SKIPPED = ("__pycache__", DONE)


class ModelError(Exception):
    """A repository cannot be brought, or is another than the one that was asked for."""


def files_of(folder: Path) -> list[str]:
    """Returns the files of a repository, sorted, relative to its folder."""
    found = (file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    return sorted(name for name in found if not set(PurePosixPath(name).parts) & set(SKIPPED))


def digest_of(folder: Path) -> str:
    """Returns the digest of a repository. Raises ModelError if it has no files."""
    lines = [f"{_sha256(folder / name)}  {name}\n" for name in files_of(folder)]
    if not lines:
        raise ModelError(f"{folder} has no files")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def fetch(source: str, target: Path, digest: str, settings: BlobSettings) -> str:
    """Fills a folder from another folder or `s3://BUCKET/PREFIX`, and returns its digest.

    A folder that a fetch has filled before, with this digest, stays as it is. Raises ModelError, OSError, BadSetting;
    then the folder is empty.
    """
    done = target / DONE
    if digest and done.is_file() and done.read_text().strip() == digest == digest_of(target):
        return digest
    _empty(target)
    try:
        if source.startswith(S3):
            _download(source, target, settings)
        else:
            _copy(Path(source), target)
        found = digest_of(target)
        if digest and found != digest:
            raise ModelError(f"{source} has the digest {found}, and {digest} was asked for")
    except BaseException:
        _empty(target)
        raise
    done.write_text(f"{found}\n")
    return found


def publish(folder: Path, target: str, settings: BlobSettings) -> str:
    """Uploads a repository to `s3://BUCKET/PREFIX` and returns its digest. Raises ModelError, OSError, BadSetting."""
    digest = digest_of(folder)
    with _store(target, settings) as (bucket, prefix, client):
        for name in files_of(folder):
            client.fput_object(bucket, prefix + name, str(folder / name))
    return digest


def _copy(source: Path, target: Path) -> None:
    for name in files_of(source):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)


def _download(source: str, target: Path, settings: BlobSettings) -> None:
    with _store(source, settings) as (bucket, prefix, client):
        for found in client.list_objects(bucket, prefix=prefix, recursive=True):
            name = PurePosixPath(found.object_name.removeprefix(prefix))
            if found.is_dir:
                continue
            if name.is_absolute() or ".." in name.parts:
                raise ModelError(f"{source} has a file outside of it: {found.object_name}")
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            client.fget_object(bucket, found.object_name, str(target / name))


@contextmanager
def _store(url: str, settings: BlobSettings) -> Iterator[tuple[str, str, Any]]:
    """Gives the bucket of an S3 URL, the prefix of its keys, and a client. Raises ModelError, BadSetting."""
    # Only here: a copy from a folder runs in images without an S3 client.
    import urllib3
    from minio.error import MinioException

    from services.orchestrator.blobs.s3_bucket import S3Bucket

    if not (settings.s3_endpoint and settings.s3_access_key and settings.s3_secret_key):
        raise BadSetting(f"{url} needs I2V_S3_ENDPOINT, I2V_S3_ACCESS_KEY and I2V_S3_SECRET_KEY")
    name, _, prefix = url.removeprefix(S3).partition("/")
    bucket = S3Bucket(
        settings.s3_endpoint,
        settings.s3_access_key.get_secret_value(),
        settings.s3_secret_key.get_secret_value(),
        name,
        region=settings.s3_region,
        secure=settings.s3_secure,
        ca_file=settings.s3_ca_file,
    )
    http = bucket.http(4)
    try:
        yield name, f"{prefix.rstrip('/')}/" if prefix else "", bucket.client(http)
    except (MinioException, urllib3.exceptions.HTTPError) as error:
        raise ModelError(f"{url} cannot be used: {' '.join(str(error).split())[:MESSAGE]}") from error
    finally:
        http.clear()


def _empty(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for each in folder.iterdir():
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        else:
            each.unlink()


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0, or 1 with one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m services.orchestrator.models", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    fetching = commands.add_parser("fetch", help="fills a folder")
    fetching.add_argument("source", help="a folder, or s3://BUCKET/PREFIX")
    fetching.add_argument("target", type=Path)
    fetching.add_argument("--digest", default="", help="what its digest must be")
    publishing = commands.add_parser("publish", help="uploads a repository and prints its digest")
    publishing.add_argument("folder", type=Path)
    publishing.add_argument("target", help="s3://BUCKET/PREFIX")
    commands.add_parser("digest", help="prints the digest of a repository").add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    restrict_umask()
    try:
        settings = BlobSettings.read(PREFIX, foreign=lambda name: True)
        match options.command:
            case "fetch":
                digest = fetch(options.source, options.target, options.digest, settings)
            case "publish":
                digest = publish(options.folder, options.target, settings)
            case _:
                digest = digest_of(options.folder)
    except (ModelError, BadSetting) as error:
        sys.stderr.write(f"models: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"models: {error.filename or options.command}: {error.strerror}\n")
        return 1
    sys.stdout.write(f"{digest}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
