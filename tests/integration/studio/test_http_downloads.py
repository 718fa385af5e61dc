"""Downloads of assets over HTTP: the real process before a real API."""

from tests.support.studio_rig import Rig


def key(rig: Rig) -> dict[str, str]:
    return {"Authorization": "Bearer studio-key", "I2V-User": rig.user}


async def test_an_asset_is_read_whole_in_ranges_and_only_once(own: Rig) -> None:
    asset, stored = await own.picture()
    url = f"{own.address}/v1/{asset.name}/content"
    whole = await own.http.get(url, headers=key(own))
    assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, stored, "image/png")
    tag, size = whole.headers["etag"], len(stored)
    assert (whole.headers["content-disposition"], whole.headers["cache-control"]) == ("inline", "private, no-cache")
    part = await own.http.get(url, headers=key(own) | {"Range": "bytes=10-19", "If-Range": tag})
    assert (part.status_code, part.content) == (206, stored[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{size}"
    assert (await own.http.get(url, headers=key(own) | {"Range": "bytes=0-1", "If-Range": '"other"'})).content == stored
    assert (await own.http.get(url, headers=key(own) | {"If-None-Match": tag})).status_code == 304
    head = await own.http.head(url, headers=key(own))
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(size))
    beyond = await own.http.get(url, headers=key(own) | {"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    assert beyond.json()["reason"] == "RANGE_UNSATISFIABLE"


async def test_a_browser_saves_it_under_the_name_that_is_asked_for(own: Rig) -> None:
    asset, _ = await own.picture()
    url = f"{own.address}/v1/{asset.name}/content"
    ours = f"{asset.name.removeprefix('assets/')[:12]}.png"
    for query, expected in (
        ("?download=cat.png", 'attachment; filename="cat.png"'),
        ("?download", f'attachment; filename="{ours}"'),
        ("?download=..%2F..%2Fcat%0d%0a.png", 'attachment; filename="_.._cat.png"'),
    ):
        assert (await own.http.head(url + query, headers=key(own))).headers["content-disposition"] == expected


async def test_a_rendition_is_made_and_read(own: Rig) -> None:
    asset, _ = await own.picture()
    url = f"{own.address}/v1/{asset.name}/renditions/thumbnail-128/content"
    small = await own.http.get(f"{url}?download", headers=key(own))
    assert (small.status_code, small.headers["content-type"], small.content[8:12]) == (200, "image/webp", b"WEBP")
    assert small.headers["content-disposition"].endswith('-thumbnail-128.webp"')
    assert (await own.http.get(url, headers=key(own) | {"Range": "bytes=8-11"})).content == b"WEBP"


async def test_what_may_not_be_read_is_a_problem(own: Rig) -> None:
    asset, _ = await own.picture()
    content = f"/v1/{asset.name}/content"
    for status, path, headers in (
        (401, content, {"Authorization": ""}),
        (404, content, {"I2V-User": "bob"}),
        (404, f"/v1/assets/{'0' * 64}/content", {}),
        (404, "/v1/assets/cat/content", {}),
        (400, f"{content}?variant=poster", {}),
        (400, f"/v1/{asset.name}/renditions/poster/content", {}),
        (400, f"/v1/{asset.name}/renditions/none/content", {}),
        (404, "/v1/assets/..%2f..%2fjobs/content", {}),
    ):
        answer = await own.http.get(own.address + path, headers=key(own) | headers)
        assert answer.status_code == status, (path, headers, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
