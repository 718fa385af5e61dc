"""`i2v assets export`, `check` and `import` against a real service: what goes out comes in again, and nothing else."""

import hashlib
import json
import uuid
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from i2v.v1 import asset_pb2, collection_pb2, collection_pb2_grpc, job_pb2, share_pb2

from i2v_client import AsyncClient
from services.client.transfer.description import Subject
from services.client.transfer.export import OneUser, export
from services.client.transfer.export_folder import ExportFolder
from services.client.transfer.sources import bytes_name
from services.client.transfer.transfer_bar import TransferBar
from services.orchestrator.pace import Pace
from tests.support import pictures, sounds
from tests.support.blob_stores import until
from tests.support.builders import ScriptedBackend
from tests.support.client_command import Command, Terminal
from tests.support.exports import an_export, zipped
from tests.support.served_orchestrator import GOLDEN, Served, caller, image_spec, parts, served
from tests.support.shared_links import Links

HERE = ("--user", "ann")


@pytest.fixture
async def i2v(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    pace = Pace(counts_every_s=0.05)
    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}, pace=pace) as running:
        yield running


@pytest.fixture
def command(i2v: Served, tmp_path: Path) -> Command:
    (tmp_path / "here").mkdir()
    return Command(i2v.address, tmp_path / "here")


async def ran(command: Command, *arguments: str, tenant: str = "studio", code: int = 0) -> str:
    ended = await command(*HERE, "assets", *arguments, key=f"{tenant}-key")
    assert ended.code == code, (arguments, ended.out, ended.err)
    return ended.out + ended.err


async def update(i2v: Served, asset: asset_pb2.Asset, *mask: str, tenant: str = "studio") -> asset_pb2.Asset:
    request = asset_pb2.UpdateAssetRequest(asset=asset)
    request.update_mask.paths.extend(mask)
    changed: asset_pb2.Asset = await i2v.assets.UpdateAsset(request, metadata=caller(tenant))
    return changed


async def library(i2v: Served, tenant: str) -> list[asset_pb2.Asset]:
    request = asset_pb2.ListAssetsRequest(order_by="create_time asc", show_deleted=True)
    return list((await i2v.assets.ListAssets(request, metadata=caller(tenant))).assets)


def collections(i2v: Served) -> Any:
    return collection_pb2_grpc.CollectionServiceStub(i2v.channel)


async def a_library(i2v: Served) -> dict[str, asset_pb2.Asset]:
    """A PNG, a JPEG, a sound and a video of a job, with all that people can say of them, in a collection."""
    made = {
        "png": await i2v.upload(pictures.a_picture()),
        "jpeg": await i2v.upload((GOLDEN / "cat-large.jpg").read_bytes(), "image/jpeg"),
        "sound": await i2v.upload(sounds.a_sound("audio/wav", 1.0), "audio/wav"),
    }
    job = await i2v.ended((await i2v.submit(image_spec(made["png"].name))).name)
    made["video"] = asset_pb2.Asset(name=job.output.asset)
    jpeg = asset_pb2.Asset(name=made["jpeg"].name, favorite=True, rating=4)
    jpeg.details.title, jpeg.details.description = "Кот на крыше", "two\nlines"
    jpeg.details.tags.extend(["roof", "evening"])
    jpeg.details.custom_metadata.update({"shot": 7, "deep": {"list": [1.5, None, "x"]}})
    await update(i2v, jpeg, "details", "favorite", "rating")
    album = collection_pb2.Collection(title="Roofs", description="from above")
    request = collection_pb2.CreateCollectionRequest(request_id=str(uuid.uuid4()), collection=album)
    name = (await collections(i2v).CreateCollection(request, metadata=caller())).name
    members = [made["jpeg"].name, made["video"].name, made["sound"].name]
    await collections(i2v).AddAssets(collection_pb2.AddAssetsRequest(name=name, assets=members), metadata=caller())
    cover = collection_pb2.Collection(name=name, cover=made["jpeg"].name)
    changed = collection_pb2.UpdateCollectionRequest(collection=cover)
    changed.update_mask.paths.append("cover")
    await collections(i2v).UpdateCollection(changed, metadata=caller())
    await Links(i2v).make(asset=made["png"].name)
    return made


def lines(folder: Path, file: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / file).read_text().splitlines()]


def said(folder: Path) -> list[Any]:
    """What people say in an export, without what belongs to the place: dates, counts, origins and names."""
    found = []
    for line in lines(folder, "entries.jsonl"):
        asset = line["asset"]
        asset["details"].get("custom_metadata", {}).pop("imported_by_i2v", None)
        details = {key: value for key, value in asset["details"].items() if value}
        found.append((asset["media_type"], details, asset.get("favorite", False), asset.get("rating", 0)))
    return sorted(found, key=str)


async def test_a_library_goes_to_another_tenant_and_is_the_same_there(
    i2v: Served, command: Command, tmp_path: Path
) -> None:
    made = await a_library(i2v)
    assert "4 entries, 4 files" in await ran(command, "export", "one", "--events")
    assert "whole; 4 entries" in await ran(command, "check", "one")
    one, two = tmp_path / "here" / "one", tmp_path / "here" / "two"
    assert [line["job"]["spec"]["model"] for line in lines(one, "jobs.jsonl")] == ["test-model"]
    assert lines(one, "jobs.jsonl")[0]["events"][-1].keys() >= {"succeeded"}
    assert [line["manifest"]["asset"] for line in lines(one, "manifests.jsonl")] == [made["video"].name]
    assert {line["booking"]["kind"] for line in lines(one, "usage.jsonl")} == {"RESERVE", "SETTLE"}
    (shared,) = lines(one, "shares.jsonl")
    assert (shared["user"], shared["share"]["asset"], shared["share"]["state"]) == ("ann", made["png"].name, "OPEN")
    assert not {"token", "url"} & shared["share"].keys()
    dry = await ran(command, "import", "one", "--dry-run", tenant="story")
    assert "entries: 4 new" in dry and "Nothing was stored" in dry and await library(i2v, "story") == []
    imported = await ran(command, "import", "one", tenant="story")
    assert "entries: 4 new" in imported and "collections: 1 new" in imported
    assert "4 entries, 4 files" in await ran(command, "export", "two", tenant="story")
    assert "whole; 4 entries" in await ran(command, "check", "two")
    assert said(one) == said(two)
    (before,), (after,) = lines(one, "collections.jsonl"), lines(two, "collections.jsonl")
    same = ("name", "title", "description", "asset_count")
    assert [before["collection"][key] for key in same] == [after["collection"][key] for key in same]
    names = {
        entry.details.custom_metadata["imported_by_i2v"]["name"]: entry.name for entry in await library(i2v, "story")
    }
    assert after["collection"]["cover"] == names[made["jpeg"].name]
    assert set(after["assets"]) == {names[name] for name in before["assets"]}
    assert names[made["png"].name] == made["png"].name and names[made["video"].name] == made["video"].name


class JobsGoMeanwhile(AsyncClient):
    """A client whose jobs are removed between their list and their events."""

    def watch(self, name: str, *given: Any, **named: Any) -> AsyncGenerator[job_pb2.JobEvent, None]:
        return super().watch(f"jobs/{'0' * 32}", *given, **named)


async def test_a_job_that_is_removed_during_an_export_is_there_without_events(i2v: Served, tmp_path: Path) -> None:
    await a_library(i2v)

    async def only() -> AsyncIterator[OneUser]:
        yield OneUser("ann", JobsGoMeanwhile(i2v.address, "studio-key", "ann"))

    folder = ExportFolder(tmp_path / "one", Subject(user="ann"))
    await export(folder, only(), TransferBar("export"), with_events=True)
    (job,) = lines(tmp_path / "one", "jobs.jsonl")
    assert job.keys() == {"user", "job"}


async def test_an_import_claims_nothing_as_made_here(i2v: Served, command: Command) -> None:
    made = await a_library(i2v)
    await ran(command, "export", "one")
    await ran(command, "import", "one", tenant="story")
    video = next(entry for entry in await library(i2v, "story") if entry.name == made["video"].name)
    assert not video.HasField("origin")
    facts = MessageToDict(video.details.custom_metadata)["imported_by_i2v"]
    assert facts["origin"]["model"] == "test-model" and facts["origin"]["parents"] == [made["png"].name]
    assert (await i2v.usage(tenant="story")).tenant.spent.amount_micros == 0
    shares = await Links(i2v).call("ListShares", share_pb2.ListSharesRequest(), tenant="story")
    assert list(shares.shares) == []
    assert list((await i2v.jobs.ListJobs(job_pb2.ListJobsRequest(), metadata=caller("story"))).jobs) == []


async def test_a_second_import_changes_nothing_and_what_was_edited_here_is_reported(
    i2v: Served, command: Command
) -> None:
    made = await a_library(i2v)
    await ran(command, "export", "one")
    await ran(command, "import", "one", tenant="story")
    first = await library(i2v, "story")
    assert "entries: 4 unchanged" in await ran(command, "import", "one", tenant="story")
    assert await library(i2v, "story") == first
    edited = asset_pb2.Asset(name=made["png"].name)
    edited.details.title = "edited here"
    await update(i2v, edited, "details.title", tenant="story")
    again = await ran(command, "import", "one", tenant="story", code=3)
    assert f"{made['png'].name} is here with other texts" in again and "1 edited here" in again
    assert "1 overwritten" in await ran(command, "import", "one", "--overwrite", tenant="story")
    assert "entries: 4 unchanged" in await ran(command, "import", "one", tenant="story")
    assert len(await library(i2v, "story")) == 4


async def test_an_import_that_was_broken_off_is_continued(i2v: Served, command: Command) -> None:
    made = await a_library(i2v)
    await ran(command, "export", "one")
    await ran(command, "import", "one", tenant="story")
    # As if it had been broken off between the upload of the picture and its rating.
    rated = next(entry for entry in await library(i2v, "story") if entry.rating == 4)
    forget = asset_pb2.DeleteAssetRequest(name=rated.name, permanent=True)
    await i2v.assets.DeleteAsset(forget, metadata=caller("story"))
    header = asset_pb2.WriteAssetHeader(media_type="image/*", details=rated.details)
    data = await i2v.download(made["jpeg"].name)
    assert (await i2v.assets.WriteAsset(parts(header, data), metadata=caller("story"))).name == rated.name
    assert "entries: 1 new; 3 unchanged" in await ran(command, "import", "one", tenant="story")
    back = next(entry for entry in await library(i2v, "story") if entry.name == rated.name)
    assert (back.rating, back.favorite, back.details) == (4, True, rated.details)


async def test_an_import_into_the_same_library_finds_everything(i2v: Served, command: Command) -> None:
    await a_library(i2v)
    before = [entry.etag for entry in await library(i2v, "studio")]
    await ran(command, "export", "one")
    assert "entries: 4 unchanged" in await ran(command, "import", "one")
    assert [entry.etag for entry in await library(i2v, "studio")] == before


async def test_an_export_is_continued_and_follows_the_library(i2v: Served, command: Command, tmp_path: Path) -> None:
    made = await a_library(i2v)
    folder = tmp_path / "here" / "one"
    await ran(command, "export", "one")
    jpeg = folder / bytes_name(made["jpeg"].name.removeprefix("assets/"))
    whole = jpeg.read_bytes()
    jpeg.with_name(jpeg.name + ".part").write_bytes(whole[:1000])
    jpeg.unlink()
    video = folder / bytes_name(made["video"].name.removeprefix("assets/"))
    good = video.read_bytes()
    video.with_name(video.name + ".part").write_bytes(b"wrong" + good[5:100])
    video.write_bytes(b"altered" + good[7:])
    await i2v.assets.DeleteAsset(asset_pb2.DeleteAssetRequest(name=made["sound"].name), metadata=caller())
    shown = await ran(command, "export", "one")
    assert "4 entries, 3 files" in shown and "because they are in the trash: 1." in shown
    assert jpeg.read_bytes() == whole and video.read_bytes() == good
    assert "whole; 4 entries, 3 files" in await ran(command, "check", "one")
    await i2v.download(made["png"].name)

    async def counted() -> bool:
        return [entry.downloads for entry in await library(i2v, "studio")].count(0) < 4

    await until(counted)
    read = {entry.name: entry.downloads for entry in await library(i2v, "studio")}
    assert {name for name, count in read.items() if count} == {made["png"].name}  # exports are no downloads
    assert "3 new; 1 without bytes" in await ran(command, "import", "one", tenant="story")


async def test_only_what_a_filter_selects_is_exported(i2v: Served, command: Command, tmp_path: Path) -> None:
    made = await a_library(i2v)
    assert "1 entries, 1 files" in await ran(command, "export", "some", "--filter", "tags:roof")
    assert lines(tmp_path / "here" / "some", "collections.jsonl")[0]["assets"] == [made["jpeg"].name]
    assert lines(tmp_path / "here" / "some", "jobs.jsonl") == []
    assert "another library" in await ran(command, "export", "some", code=3)
    assert "is this the right key" in await ran(
        command, "export", "some", "--filter", "tags:roof", tenant="story", code=3
    )
    assert (tmp_path / "here" / "some" / bytes_name(made["jpeg"].name.removeprefix("assets/"))).exists()
    (tmp_path / "here" / "other").mkdir()
    (tmp_path / "here" / "other" / "file").write_text("")
    assert "holds no export" in await ran(command, "export", "other", code=3)


async def test_a_broken_export_stores_nothing(i2v: Served, command: Command, tmp_path: Path) -> None:
    made = await a_library(i2v)
    await ran(command, "export", "one")
    folder = tmp_path / "here" / "one"
    file = folder / bytes_name(made["video"].name.removeprefix("assets/"))
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    checked = await ran(command, "check", "one", code=7)
    assert f"{file.relative_to(folder)}: its SHA-256 is " in checked and "EXPORT_ALTERED" in checked
    assert "EXPORT_ALTERED" in await ran(command, "import", "one", tenant="story", code=3)
    zipped(folder, tmp_path / "here" / "one.zip")
    assert "EXPORT_ALTERED" in await ran(command, "import", "one.zip", tenant="story", code=3)
    assert await library(i2v, "story") == []


async def test_an_archive_is_imported_and_what_is_no_media_is_refused_alone(
    i2v: Served, command: Command, tmp_path: Path
) -> None:
    await a_library(i2v)
    await ran(command, "export", "one")
    folder = tmp_path / "here" / "one"
    # A whole export, as anyone can make one, with a program in place of a picture.
    program = b"\x7fELF" + bytes(100)
    digest = hashlib.sha256(program).hexdigest()
    entry = {"user": "ann", "asset": {"name": f"assets/{digest}", "size_bytes": "104"}, "bytes": "stored"}
    (folder / bytes_name(digest)).parent.mkdir(exist_ok=True)
    (folder / bytes_name(digest)).write_bytes(program)
    with (folder / "entries.jsonl").open("a") as file:
        file.write(json.dumps(entry) + "\n")
    said_of = json.loads((folder / "export.json").read_text())
    index = {"sha256": hashlib.sha256((folder / "entries.jsonl").read_bytes()).hexdigest(), "records": 5}
    said_of["indexes"]["entries.jsonl"] = index
    said_of["bytes"] = {"files": 5, "size_bytes": said_of["bytes"]["size_bytes"] + 104}
    (folder / "export.json").write_text(json.dumps(said_of))
    zipped(folder, tmp_path / "here" / "one.zip")
    shown = await ran(command, "import", "one.zip", tenant="story", code=3)
    assert "4 new; 1 refused" in shown and f"assets/{digest}: " in shown
    assert len(await library(i2v, "story")) == 4


async def test_a_hostile_export_stores_nothing(i2v: Served, command: Command) -> None:
    here = command.folder
    an_export(here / "whole", {"ann": pictures.a_picture()})
    zipped(here / "whole", here / "bomb.zip", zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(here / "bomb.zip", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(bytes_name("0" * 64), bytes(20_000_000))
    zipped(here / "whole", here / "way-out.zip")
    with zipfile.ZipFile(here / "way-out.zip", "a") as archive:
        archive.writestr("../../evil", b"")
    an_export(here / "linked", {"ann": pictures.a_picture()})
    (here / "linked" / "usage.jsonl").unlink()
    (here / "linked" / "usage.jsonl").symlink_to("/etc/passwd")
    for hostile, reason in (
        ("bomb.zip", "EXPORT_TOO_LARGE"),
        ("way-out.zip", "EXPORT_UNSAFE"),
        ("linked", "EXPORT_UNSAFE"),
    ):
        assert reason in await ran(command, "import", hostile, "--all-users", code=3)
        assert reason in await ran(command, "check", hostile, code=7)
    assert await library(i2v, "studio") == [] and not list(here.parent.rglob("evil"))
    assert "entries: 1 new" in await ran(command, "import", "whole", "--all-users")


async def test_a_check_needs_no_server_and_no_key(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    nowhere = Command("127.0.0.1:1", tmp_path)
    ended = await nowhere("assets", "check", "one", "--json", key=None)
    assert ended.code == 7 and json.loads(ended.out)["reason"] == "EXPORT_INCOMPLETE"


async def test_a_terminal_has_a_bar_with_the_number_of_assets(i2v: Served, command: Command) -> None:
    await i2v.upload(pictures.a_picture())
    terminal = Terminal()
    process = await command.start(
        *HERE, "assets", "export", "one", key="studio-key", stderr=terminal.slave, TERM="xterm"
    )
    terminal.hand_over()
    assert "1/1" in await terminal.read()
    assert (await command.end(process)).code == 0
