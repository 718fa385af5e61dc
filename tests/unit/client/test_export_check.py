"""The check of an export: whole ones have no fault, and each hostile or altered one has its own."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from services.client.transfer import check
from services.client.transfer.description import Description, Subject
from services.client.transfer.faults import BrokenExport, Fault
from services.client.transfer.index_file import LINE_MOST
from services.client.transfer.opened_source import opened
from services.client.transfer.records import ENTRIES
from services.client.transfer.sources import bytes_name
from services.client.transfer.zip_source import DIRECTORY_MOST
from tests.support.exports import CAT, DOG, an_export, sha256, zipped

OF_CAT = bytes_name(sha256(CAT))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return an_export(tmp_path / "export")


def faults(path: Path) -> list[Fault]:
    try:
        with opened(path) as source:
            return list(check.faults(source))
    except BrokenExport as error:
        return [error.fault]


def reasons(path: Path) -> list[tuple[str, str]]:
    return sorted((str(fault.reason), fault.place) for fault in faults(path))


def test_a_whole_export_has_no_fault_as_a_folder_and_as_an_archive(folder: Path, tmp_path: Path) -> None:
    assert faults(folder) == []
    assert faults(zipped(folder, tmp_path / "a.zip")) == []
    assert faults(zipped(folder, tmp_path / "b.zip", zipfile.ZIP_DEFLATED)) == []


def test_an_export_is_for_its_owner_alone(folder: Path) -> None:
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / ENTRIES.file).stat().st_mode & 0o077 == 0


def test_an_empty_export_is_whole(tmp_path: Path) -> None:
    assert faults(an_export(tmp_path / "empty", {})) == []


def test_the_same_bytes_of_two_users_are_one_file(tmp_path: Path) -> None:
    assert faults(an_export(tmp_path / "both", {"ann": CAT, "bob": CAT})) == []


def _replace(name: str, data: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(data)

    return change


def _twice(folder: Path) -> None:
    line = (folder / ENTRIES.file).read_bytes().splitlines(keepends=True)[0]
    with (folder / ENTRIES.file).open("ab") as file:
        file.write(line)


def _link(folder: Path) -> None:
    (folder / OF_CAT).unlink()
    (folder / OF_CAT).symlink_to("/etc/passwd")


def _linked_index(folder: Path) -> None:
    (folder / ENTRIES.file).rename(folder.parent / "elsewhere")
    (folder / ENTRIES.file).symlink_to(folder.parent / "elsewhere")


def _linked_folder(folder: Path) -> None:
    (folder / OF_CAT).parent.rename(folder.parent / "elsewhere")
    (folder / OF_CAT).parent.symlink_to(folder.parent / "elsewhere")


def _pipe(folder: Path) -> None:
    (folder / OF_CAT).unlink()
    os.mkfifo(folder / OF_CAT)


def _deep(folder: Path) -> None:
    (folder / "bytes" / "aa" / "bb" / "cc").mkdir(parents=True)


INDEX = ENTRIES.file


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_replace(OF_CAT, CAT[:-1]), {("EXPORT_ALTERED", OF_CAT)}),
        (_replace(OF_CAT, CAT[:-1] + b"?"), {("EXPORT_ALTERED", OF_CAT)}),
        (lambda folder: (folder / OF_CAT).unlink(), {("EXPORT_INCOMPLETE", OF_CAT)}),
        (_replace("bytes/a", b""), {("EXPORT_ADDITIONAL", "bytes/a")}),
        (_replace("notes.txt", b""), {("EXPORT_ADDITIONAL", "notes.txt")}),
        (_deep, {("EXPORT_ADDITIONAL", "bytes/aa/bb")}),
        (lambda folder: (folder / INDEX).unlink(), {("EXPORT_INCOMPLETE", INDEX)}),
        (lambda folder: (folder / "export.json").unlink(), {("EXPORT_INCOMPLETE", "export.json")}),
        (_replace("export.json", Description(Subject(), "now").dumps()), {("EXPORT_INCOMPLETE", "export.json")}),
        (_replace("export.json", b" " * (2 << 20)), {("EXPORT_TOO_LARGE", "export.json")}),
        (_replace("jobs.jsonl", b"\n"), {("EXPORT_MALFORMED", "jobs.jsonl:1"), ("EXPORT_ALTERED", "jobs.jsonl")}),
        (_replace("jobs.jsonl", b"{}"), {("EXPORT_MALFORMED", "jobs.jsonl:1")}),
        (_replace("jobs.jsonl", b'"' * (LINE_MOST + 9)), {("EXPORT_TOO_LARGE", "jobs.jsonl:1")}),
        (_twice, {("EXPORT_MALFORMED", f"{INDEX}:3"), ("EXPORT_ALTERED", INDEX)}),
        (_link, {("EXPORT_UNSAFE", OF_CAT), ("EXPORT_INCOMPLETE", OF_CAT)}),
        (_pipe, {("EXPORT_UNSAFE", OF_CAT), ("EXPORT_INCOMPLETE", OF_CAT)}),
        (_linked_index, {("EXPORT_UNSAFE", INDEX)}),
        (_linked_folder, {("EXPORT_UNSAFE", "bytes/" + sha256(CAT)[:2]), ("EXPORT_INCOMPLETE", OF_CAT)}),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(
    folder: Path, change: Callable[[Path], object], expected: set[tuple[str, str]]
) -> None:
    change(folder)
    assert expected <= set(reasons(folder))


def test_a_digest_that_lies_is_found(tmp_path: Path) -> None:
    folder = an_export(tmp_path / "export", {"ann": CAT})
    (folder / OF_CAT).write_bytes(b"a dog" * 100)
    assert reasons(folder) == [("EXPORT_ALTERED", OF_CAT)]


def test_an_index_that_lies_about_its_lines_is_found(folder: Path) -> None:
    lines = (folder / INDEX).read_bytes().splitlines(keepends=True)
    (folder / INDEX).write_bytes(lines[1] + lines[0])
    assert reasons(folder) == [("EXPORT_ALTERED", INDEX)]


# --- archives -------------------------------------------------------------------------------------------------------


def _packed(folder: Path, path: Path, change: Callable[[zipfile.ZipFile], None]) -> Path:
    zipped(folder, path)
    with zipfile.ZipFile(path, "a") as archive:
        change(archive)
    return path


def _of_mode(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/passwd", "bytes/../../evil", "..\\evil", "C:\\evil", "bytes/aa/..", "\\\\host\\evil"]
)
def test_a_name_that_leaves_the_archive_is_unsafe(folder: Path, tmp_path: Path, name: str) -> None:
    path = _packed(folder, tmp_path / "a.zip", lambda archive: archive.writestr(name, b""))
    assert ("EXPORT_UNSAFE", name) in reasons(path)


def test_a_link_in_an_archive_is_unsafe(folder: Path, tmp_path: Path) -> None:
    (folder / OF_CAT).unlink()
    link = _of_mode(OF_CAT, 0o120777)
    path = _packed(folder, tmp_path / "a.zip", lambda archive: archive.writestr(link, b"/etc/passwd"))
    assert ("EXPORT_UNSAFE", OF_CAT) in reasons(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_unsafe(folder: Path, tmp_path: Path) -> None:
    path = _packed(folder, tmp_path / "a.zip", lambda archive: archive.writestr(OF_CAT, DOG))
    assert ("EXPORT_UNSAFE", OF_CAT) in reasons(path)


def test_a_bomb_is_refused_before_it_is_unpacked(folder: Path, tmp_path: Path) -> None:
    (folder / INDEX).unlink()
    with (folder / INDEX).open("wb") as file:
        file.truncate(1 << 30)  # 1 GB of zeros, of which the archive keeps 1 MB
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for each in sorted(folder.rglob("*")):
            archive.write(each, each.relative_to(folder))
    assert (tmp_path / "a.zip").stat().st_size < 2 << 20
    assert ("EXPORT_TOO_LARGE", INDEX) in reasons(tmp_path / "a.zip")


def test_files_that_overlap_are_refused(folder: Path, tmp_path: Path) -> None:
    path = zipped(folder, tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(OF_CAT)
    # The directory says that a stored file is as large as the whole archive.
    at = data.rindex(OF_CAT.encode()) - 46
    assert data[at : at + 4] == b"PK\x01\x02" and info.compress_size == len(CAT)
    data[at + 20 : at + 24] = len(data).to_bytes(4, "little")
    path.write_bytes(data)
    assert "EXPORT_UNSAFE" in {reason for reason, _ in reasons(path)}


@pytest.mark.parametrize("wide", [False, True])
def test_an_archive_with_too_large_a_directory_is_refused_before_it_is_read(
    folder: Path, tmp_path: Path, wide: bool
) -> None:
    path = zipped(folder, tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    data[-10:-6] = (0xFFFFFFFF if wide else DIRECTORY_MOST + 1).to_bytes(4, "little")
    if wide:
        end, large = data[-22:], (DIRECTORY_MOST + 1).to_bytes(8, "little")
        data[-22:] = b"PK\x06\x06" + bytes(36) + large + bytes(8) + b"PK\x06\x07" + bytes(16) + end
    path.write_bytes(data)
    (fault,) = faults(path)
    assert (fault.reason, fault.place) == ("EXPORT_TOO_LARGE", "a.zip")


def test_an_encrypted_file_is_refused(folder: Path, tmp_path: Path) -> None:
    path = zipped(folder, tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    data[data.rindex(OF_CAT.encode()) - 46 + 8] |= 1
    path.write_bytes(data)
    assert ("EXPORT_UNSAFE", OF_CAT) in reasons(path)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    for data in (b"", b"PK", b"no archive" * 1000, b"PK\x05\x06" + bytes(18), b"PK\x05\x06" + b"\xff" * 18):
        (tmp_path / "a.zip").write_bytes(data)
        (fault,) = faults(tmp_path / "a.zip")
        assert fault.reason in ("EXPORT_MALFORMED", "EXPORT_INCOMPLETE", "EXPORT_TOO_LARGE")


def test_any_changed_byte_of_an_archive_is_a_fault_and_no_crash(folder: Path, tmp_path: Path) -> None:
    whole = zipped(folder, tmp_path / "a.zip", zipfile.ZIP_DEFLATED).read_bytes()
    for at in range(0, len(whole), 7):
        data = bytearray(whole)
        data[at] ^= 0xFF
        (tmp_path / "b.zip").write_bytes(data)
        assert all(fault.reason.startswith("EXPORT_") for fault in faults(tmp_path / "b.zip"))
