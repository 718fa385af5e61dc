"""Shares through the real server: those who make them, and those who read them."""

import uuid
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from i2v.v1 import asset_pb2, collection_pb2, collection_pb2_grpc, job_pb2, share_pb2, shared_pb2

from services.orchestrator.domain.share import ATTEMPTS
from services.orchestrator.pace import Pace
from services.rpc.status_codes import Failure, from_call
from tests.support import sounds
from tests.support.blob_stores import until
from tests.support.builders import ScriptedBackend
from tests.support.pictures import a_picture
from tests.support.served_orchestrator import caller, served
from tests.support.shared_links import Links, bearer

STUDIO = "https://studio.example/i2v/"
PHRASE = "ünder the roof"
NONE = (
    grpc.StatusCode.NOT_FOUND,
    "NOT_FOUND",
    "This link shows nothing: it has ended, what it showed was deleted, or it never was one.",
)


@pytest.fixture
async def links(database: str, tmp_path: Path) -> AsyncIterator[Links]:
    def change(values: dict[str, Any]) -> None:
        values["studio_url"] = STUDIO

    backends, pace = {"test": (ScriptedBackend(), 1)}, Pace(counts_every_s=0.05)
    async with served(database, tmp_path, backends, change=change, pace=pace) as running:
        yield Links(running)


async def refused(call: Awaitable[Any]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_call(caught.value)


async def nothing(call: Awaitable[Any]) -> bool:
    """Whether a reader gets the one answer of every token that shows nothing."""
    failure = await refused(call)
    return (failure.code, failure.reason, failure.message) == NONE


async def a_cat(links: Links, side: int = 64) -> tuple[str, bytes]:
    name = (await links.i2v.upload(a_picture(side, 64))).name
    return name, await links.i2v.download(name)


async def test_who_has_the_token_reads_what_is_shared_and_nothing_else(links: Links) -> None:
    (cat, stored), (dog, _) = await a_cat(links), await a_cat(links, 80)
    share = await links.make(asset=cat)
    assert share.url == f"https://studio.example/i2v/s/{share.token}"
    assert len(share.token) >= 48
    shown = await links.shown(share.token)
    assert ([each.name for each in shown.assets], shown.asset_count, shown.collection) == ([cat], 1, False)
    assert shown.expire_time == share.expire_time
    assert (shown.assets[0].media_type, shown.assets[0].size.width) == ("image/png", 64)
    assert await links.read(share.token, cat) == stored
    assert await links.read(share.token, cat, offset=3, length=4) == stored[3:7]
    small = await links.file(share.token, cat, variant="thumbnail-128")
    assert (small.media_type, small.variant) == ("image/webp", "thumbnail-128")
    assert len(await links.read(share.token, cat, variant="thumbnail-128")) == small.size_bytes
    assert await nothing(links.read(share.token, dog))
    assert (await refused(links.file(share.token, cat, variant="poster"))).reason == "RENDITION_UNSUPPORTED"
    assert (await refused(links.read(share.token, cat, offset=-1))).reason == "OFFSET_OUT_OF_RANGE"
    assert (await refused(links.shown(share.token, page_size=201))).reason == "PAGE_SIZE_OUT_OF_RANGE"
    # The token opens nothing else, and a key opens nothing of SharedService.
    listing = links.i2v.assets.ListAssets(asset_pb2.ListAssetsRequest(), metadata=bearer(share.token))
    assert (await refused(listing)).reason == "SHARE_ONLY"
    job = links.i2v.jobs.ListJobs(job_pb2.ListJobsRequest(), metadata=bearer(share.token))
    assert (await refused(job)).reason == "SHARE_ONLY"
    assert (await refused(links.shown("studio-key"))).reason == "SHARE_ONLY"
    signed = (await links.i2v.assets.SignUrl(asset_pb2.SignUrlRequest(name=cat), metadata=caller())).url.rpartition(
        "/"
    )[2]
    assert (await refused(links.shown(signed))).reason == "SIGNED_URL_ONLY"


async def test_every_end_of_a_share_has_the_same_answer(links: Links) -> None:
    cat, _ = await a_cat(links)
    share = await links.make(asset=cat)
    token = share.token
    altered = token[:-1] + ("A" if token[-1] != "A" else "B")
    for unknown in (altered, token[:-1], token + "A", "share.", "share." + "A" * 43, "share." + "A" * 4000):
        assert await nothing(links.shown(unknown)), unknown
    short = await links.make(1, asset=cat)

    async def expired() -> bool:
        try:
            await links.shown(short.token)
        except grpc.aio.AioRpcError as error:
            assert (from_call(error).code, from_call(error).reason, from_call(error).message) == NONE
            return True
        return False

    await until(expired)
    state = (await links.get(short.name)).state
    assert state == share_pb2.Share.EXPIRED
    delete = links.i2v.assets.DeleteAsset
    await delete(asset_pb2.DeleteAssetRequest(name=cat), metadata=caller())
    for call in (links.shown(token), links.read(token, cat), links.unlock(token, "anything"), links.file(token, cat)):
        assert await nothing(call)
    await links.i2v.assets.RestoreAsset(asset_pb2.RestoreAssetRequest(name=cat), metadata=caller())
    await links.shown(token)
    revoked = await links.revoke(share.name)
    assert (revoked.state, revoked.token, revoked.url) == (share_pb2.Share.REVOKED, "", "")
    for call in (links.shown(token), links.read(token, cat), links.unlock(token, "anything")):
        assert await nothing(call), "at once, though the token was just used"
    other = await links.make(asset=cat)
    await delete(asset_pb2.DeleteAssetRequest(name=cat, permanent=True), metadata=caller())
    assert await nothing(links.shown(other.token))


async def test_a_suspended_tenants_shares_stop_and_go_on_afterwards(links: Links) -> None:
    cat, _ = await a_cat(links)
    share = await links.make(asset=cat)
    await links.shown(share.token)
    for state in ("suspended", "active"):
        async with links.i2v.app.store.database.writing() as connection:
            await connection.execute(sa.text(f"UPDATE tenants SET state = '{state}' WHERE id = 'studio'"))
        if state == "suspended":
            assert await nothing(links.shown(share.token))

    async def again() -> bool:
        try:
            return bool(await links.shown(share.token))
        except grpc.aio.AioRpcError:
            return False

    await until(again)


async def test_a_pass_phrase_is_needed_and_attempts_at_it_are_limited(links: Links) -> None:
    cat, stored = await a_cat(links)
    share = await links.make(asset=cat, pass_phrase=PHRASE)
    assert share.has_pass_phrase
    for call in (links.shown(share.token), links.read(share.token, cat), links.file(share.token, cat)):
        failure = await refused(call)
        assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "PASS_PHRASE_NEEDED")
    # The same letters, composed otherwise.
    unlocked = await links.unlock(share.token, "u\u0308nder the roof")
    assert await links.read(share.token, cat, unlock=unlocked.unlock) == stored
    assert (await links.shown(share.token, unlock=unlocked.unlock)).asset_count == 1
    other = await links.make(asset=cat, pass_phrase=PHRASE)
    seconds, _, tag = unlocked.unlock.partition(".")
    for wrong in ("x", f"{int(seconds) + 9}.{tag}", f"{seconds}.{'0' * 64}", f"{seconds}.", "9" * 200, f"\u0661.{tag}"):
        assert (await refused(links.shown(share.token, unlock=wrong))).reason == "PASS_PHRASE_NEEDED", wrong
    assert (await refused(links.shown(other.token, unlock=unlocked.unlock))).reason == "PASS_PHRASE_NEEDED"
    reasons = []
    for number in range(1000):
        failure = await refused(links.unlock(share.token, f"wrong {number}"))
        reasons.append(failure.reason)
    assert reasons.count("PASS_PHRASE_WRONG") <= ATTEMPTS + 20, "one more every 30 s, however slow the machine"
    assert set(reasons[:ATTEMPTS]) == {"PASS_PHRASE_WRONG"}
    failure = await refused(links.unlock(share.token, PHRASE))
    assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "PASS_PHRASE_ATTEMPTS")
    assert failure.retry_after_s is not None and 0 < failure.retry_after_s <= 30
    assert await links.read(share.token, cat, unlock=unlocked.unlock) == stored, "who was in stays in"
    assert (await links.unlock(other.token, PHRASE)).unlock, "another share has attempts of its own"
    plain = await links.make(asset=cat)
    assert (await refused(links.unlock(plain.token, PHRASE))).reason == "PASS_PHRASE_WRONG"
    registry = links.i2v.registry
    right = registry.get_sample_value("i2v_share_pass_phrases_total", {"outcome": "right"})
    assert right == 2.0
    assert registry.get_sample_value("i2v_share_pass_phrases_total", {"outcome": "refused"}) >= 900  # type: ignore[operator]
    assert registry.get_sample_value("i2v_shared_reads_total", {"outcome": "locked"}) == 10.0


async def test_what_cannot_be_shared_is_refused_and_a_repeat_has_no_link(links: Links) -> None:
    cat, _ = await a_cat(links)
    album, id = await links.collection("Roofs", cat), str(uuid.uuid4())
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    for fields, reason in (
        ({}, "SHARE_TARGET_MALFORMED"),
        ({"asset": cat, "collection": album}, "SHARE_TARGET_MALFORMED"),
        ({"asset": "cat"}, "NAME_MALFORMED"),
        ({"collection": cat}, "NAME_MALFORMED"),
        ({"asset": cat, "seconds": 0}, "SHARE_EXPIRY_OUT_OF_RANGE"),
        ({"asset": cat, "seconds": -1}, "SHARE_EXPIRY_OUT_OF_RANGE"),
        ({"asset": cat, "seconds": 91 * 86_400}, "SHARE_EXPIRY_OUT_OF_RANGE"),
        ({"asset": cat, "pass_phrase": "1234567"}, "PASS_PHRASE_MALFORMED"),
        ({"asset": cat, "pass_phrase": "x" * 201}, "PASS_PHRASE_MALFORMED"),
        ({"asset": cat, "request_id": "x"}, "REQUEST_ID_MALFORMED"),
    ):
        failure = await refused(links.make(**fields))  # type: ignore[arg-type]
        assert (failure.code, failure.reason) == (invalid, reason), fields
        assert "1234567" not in failure.message
    for fields in ({"asset": "assets/" + "0" * 64}, {"collection": f"collections/{uuid.uuid4()}"}):
        assert (await refused(links.make(**fields))).reason == "NOT_FOUND"
    for who, tenant in (("bob", "studio"), ("ann", "story")):
        for fields in ({"asset": cat}, {"collection": album}):
            assert (await refused(links.make(who=who, tenant=tenant, **fields))).reason == "NOT_FOUND"
    made = await links.make(60, asset=cat, pass_phrase=PHRASE, request_id=id)
    again = await links.make(60, asset=cat, pass_phrase=PHRASE, request_id=id)
    assert (again.name, again.token, again.url, made.token != "") == (made.name, "", "", True)
    for fields in (
        {"asset": cat, "pass_phrase": PHRASE, "seconds": 61},
        {"asset": cat, "pass_phrase": "another phrase", "seconds": 60},
        {"asset": cat, "seconds": 60},
        {"collection": album, "pass_phrase": PHRASE, "seconds": 60},
    ):
        assert (await refused(links.make(request_id=id, **fields))).reason == "REQUEST_ID_REUSED"  # type: ignore[arg-type]
    listed = await links.call("ListShares", share_pb2.ListSharesRequest())
    assert [each.name for each in listed.shares] == [made.name]
    assert (
        await refused(links.call("GetShare", share_pb2.GetShareRequest(name=made.name), "bob"))
    ).reason == "NOT_FOUND"
    stored = await links.i2v.app.store.shares.page("studio", "ann", None, 9)
    assert made.token not in f"{stored[0]!r} {vars_of(stored[0])}" and PHRASE not in vars_of(stored[0])


def vars_of(share: Any) -> str:
    return str([getattr(share, name) for name in share.__slots__])


async def test_a_collections_pages_hold_their_place_and_altered_ones_are_refused(links: Links) -> None:
    names = [(await a_cat(links, 64 + number))[0] for number in range(5)]
    album = await links.collection("Roofs", *names)
    share = await links.make(collection=album)
    first = await links.shown(share.token, page_size=2)
    assert (first.title, first.collection, first.asset_count) == ("Roofs", True, 5)
    late, _ = await a_cat(links, 99)
    stub: Any = collection_pb2_grpc.CollectionServiceStub(links.i2v.channel)
    await stub.AddAssets(collection_pb2.AddAssetsRequest(name=album, assets=[late]), metadata=caller())
    await stub.RemoveAssets(
        collection_pb2.RemoveAssetsRequest(name=album, assets=[first.assets[1].name]), metadata=caller()
    )
    seen, page = [each.name for each in first.assets], first
    while page.next_page_token:
        page = await links.shown(share.token, page_size=2, page_token=page.next_page_token)
        seen += [each.name for each in page.assets]
    assert seen == names[::-1]
    assert await nothing(links.read(share.token, first.assets[1].name))
    other = await links.make(collection=album)
    for token, reader in ((first.next_page_token, other), (first.next_page_token[:-3], share), ("x", share)):
        assert (await refused(links.shown(reader.token, page_token=token))).reason == "PAGE_TOKEN_MALFORMED"


async def test_reads_are_counted_and_only_complete_ones_as_downloads(links: Links) -> None:
    cat, stored = await a_cat(links)

    async def counts() -> tuple[int, int]:
        found = await links.entry(cat)
        return found.downloads, found.shares

    async def reached(*expected: int) -> None:
        async def equal() -> bool:
            return await counts() == expected

        await until(equal)

    await reached(1, 0)  # `a_cat` has read it
    uncounted = asset_pb2.ReadAssetRequest(name=cat, uncounted=True)
    copied = [each.data async for each in links.i2v.assets.ReadAsset(uncounted, metadata=caller())]
    assert b"".join(copied) == stored
    share = await links.make(asset=cat)
    await links.i2v.download(cat, offset=1)
    await links.read(share.token, cat, length=5)
    await links.read(share.token, cat, variant="thumbnail-128")
    await links.read(share.token, cat, length=len(stored))
    await reached(2, 1)
    assert (await links.entry(cat)).HasField("access_time")
    assert (await links.entry(cat)).etag == "1"
    for _ in range(3):
        await links.shown(share.token)

    async def viewed() -> bool:
        found = await links.get(share.name)
        return (found.views, found.downloads) == (3, 1) and found.HasField("view_time")

    await until(viewed)


async def test_a_server_that_stops_writes_what_it_has_counted(database: str, tmp_path: Path) -> None:
    backends = {"test": (ScriptedBackend(), 1)}
    async with served(database, tmp_path, backends) as i2v:
        cat, _ = await a_cat(Links(i2v))
    async with served(database, tmp_path, backends) as i2v:
        assert (await Links(i2v).entry(cat)).downloads == 1


async def test_a_download_that_runs_ends_when_its_share_is_revoked_and_not_when_it_expires(links: Links) -> None:
    name = (await links.i2v.upload(sounds.a_sound("audio/wav", 300.0), "audio/*")).name
    size = (await links.entry(name)).size_bytes
    short, share = await links.make(2, asset=name), await links.make(asset=name)
    ends, goes_on = [
        links.reader.ReadShared(shared_pb2.ReadSharedRequest(asset=name), metadata=bearer(each.token))
        for each in (share, short)
    ]
    assert (await ends.read()).data
    taken = len((await goes_on.read()).data)

    async def expired() -> bool:
        return (await links.get(short.name)).state == share_pb2.Share.EXPIRED

    await until(expired)
    await links.revoke(share.name)

    async def ended() -> bool:
        count = links.i2v.registry.get_sample_value("i2v_calls_rejected_total", {"reason": "NOT_FOUND"})
        return count == 1.0

    await until(ended)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        while (await ends.read()) is not grpc.aio.EOF:
            pass
    assert from_call(caught.value).reason == "NOT_FOUND"
    while (message := await goes_on.read()) is not grpc.aio.EOF:
        taken += len(message.data)
    assert taken == size
    for each in (share, short):
        assert await nothing(links.read(each.token, name))
