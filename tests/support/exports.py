"""Exports in folders and archives, as `i2v assets export` writes them, without a server."""

import hashlib
import zipfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from i2v.v1 import asset_pb2

from services.client.transfer.description import Subject
from services.client.transfer.export_folder import ExportFolder
from services.client.transfer.index_file import IndexWriter
from services.client.transfer.records import ENTRIES, INDEXES, Bytes, Record
from services.client.transfer.sources import bytes_name

CAT, DOG = b"a cat" * 100, b"a dog" * 100


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def an_asset(data: bytes, **fields: Any) -> asset_pb2.Asset:
    return asset_pb2.Asset(name=f"assets/{sha256(data)}", size_bytes=len(data), **fields)


def an_export(root: Path, assets: Mapping[str, bytes] | None = None) -> Path:
    """Writes an export of one asset for each user."""
    assets = {"ann": CAT, "bob": DOG} if assets is None else assets
    folder = ExportFolder(root, Subject(tenant="studio"))
    folder.begin()
    with ExitStack() as opened:
        writers = {index.file: opened.enter_context(IndexWriter(root, index)) for index in INDEXES}
        for user, data in assets.items():
            writers[ENTRIES.file].add(Record(user, an_asset(data), Bytes.STORED))
            file = root / bytes_name(sha256(data))
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(data)
        indexes = {name: writer.finish() for name, writer in writers.items()}
    different = set(assets.values())
    folder.end(indexes, len(different), sum(map(len, different)))
    return root


def zipped(folder: Path, path: Path, method: int = zipfile.ZIP_STORED) -> Path:
    """Packs an export."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path
