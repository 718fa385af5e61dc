"""`/v1` over HTTP: the API's own resources, through the real process before a real API."""

import asyncio
import json
import re
import uuid
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx

from services.orchestrator.role import Role
from tests.support.resource_calls import KEY, SPEC, call
from tests.support.served_orchestrator import served, text_spec
from tests.support.studio_rig import Rig, http_process
from tools.stack_process import HOST, free_port


async def ended(rig: Rig, job: str) -> dict[str, Any]:
    for _ in range(600):
        found = (await call(rig, "GET", f"/v1/{job}")).json()
        if "endTime" in found:
            return dict(found)
        await rig.i2v.ended(job, user=rig.user)
    raise AssertionError(f"{job} does not end")


async def test_a_job_is_previewed_submitted_read_listed_and_cancelled(own: Rig) -> None:
    preview = await call(own, "POST", "/v1/jobs:preview", json={"spec": SPEC})
    assert (preview.status_code, preview.json()["admissible"]) == (200, True)
    body = {"spec": SPEC, "quoteToken": preview.json()["quoteToken"]}
    made = await call(own, "POST", "/v1/jobs", json=body, headers={"Idempotency-Key": "order 17"})
    job = made.json()
    assert (made.status_code, job["state"], job["spec"]["duration"]) == (201, "QUEUED", "1s")
    assert made.headers["location"] == f"/v1/{job['name']}"
    assert made.headers["cache-control"] == "no-store"
    again = await call(own, "POST", "/v1/jobs", json=body, headers={"Idempotency-Key": "order 17"})
    assert (again.status_code, again.json()["name"]) == (201, job["name"])

    read = await call(own, "GET", made.headers["location"])
    assert (read.status_code, read.json()["name"]) == (200, job["name"])
    done = await ended(own, job["name"])
    assert (done["state"], done["charged"]["amountMicros"]) == ("SUCCEEDED", "1000")
    listed = await call(own, "GET", "/v1/jobs?state=SUCCEEDED")
    assert [each["name"] for each in listed.json()["jobs"]] == [job["name"]]
    cancelled = await call(own, "POST", f"/v1/{job['name']}:cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "SUCCEEDED")
    resumed = await call(own, "POST", f"/v1/{job['name']}:resume", json={})
    assert (resumed.status_code, resumed.json()["reason"]) == (422, "NOT_RESUMABLE")


async def test_requests_with_one_key_that_are_in_flight_together_make_one_job(own: Rig) -> None:
    def submit(prompt: str = "a wave") -> Any:
        spec = SPEC | {"textToVideo": {"prompt": prompt}}
        return call(own, "POST", "/v1/jobs", json={"spec": spec}, headers={"Idempotency-Key": "k" * 255})

    answers = await asyncio.gather(*(submit() for _ in range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["name"] for answer in answers}) == 1
    other = await submit("a storm")
    assert (other.status_code, other.json()["reason"]) == (409, "REQUEST_ID_REUSED")
    for wrong in ("", "k" * 256):
        answer = await call(own, "POST", "/v1/jobs", json={"spec": SPEC}, headers={"Idempotency-Key": wrong})
        assert (answer.status_code, answer.json()["reason"]) == (400, "FIELD_MALFORMED")


async def test_a_batch_has_a_result_for_each_job(own: Rig) -> None:
    body = {"mode": "EACH", "jobs": [{"spec": SPEC}, {"spec": SPEC | {"model": "none"}}]}
    answers = [
        await call(own, "POST", "/v1/jobs:batchSubmit", json=body, headers={"Idempotency-Key": "b"}) for _ in "12"
    ]
    first, second = (answer.json()["results"] for answer in answers)
    assert first[0]["job"]["name"] == second[0]["job"]["name"]
    assert first[1]["error"]["details"][0]["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    previews = await call(own, "POST", "/v1/jobs:batchPreview", json={"specs": [SPEC, SPEC]})
    assert previews.json()["quote"] == {"amountMicros": "2000", "currencyCode": "USD"}


async def test_pages_follow_each_other_by_their_links(own: Rig) -> None:
    made = [(await call(own, "POST", "/v1/jobs", json={"spec": SPEC})).json()["name"] for _ in range(5)]
    path, found = "/v1/jobs?pageSize=2&oldestFirst=true", []
    while path:
        page = await call(own, "GET", path)
        found += [each["name"] for each in page.json()["jobs"]]
        link = re.fullmatch(r'<(/v1/jobs\?[^>]*)>; rel="next"', page.headers.get("link", ""))
        path = link[1] if link else ""
        assert bool(path) == bool(page.json()["nextPageToken"])
    assert found == made


async def test_a_read_that_is_known_is_not_sent_again_and_an_outdated_update_changes_nothing(own: Rig) -> None:
    asset, _ = await own.picture()
    path = f"/v1/{asset.name}"
    read = await call(own, "GET", path)
    tag = read.headers["etag"]
    assert tag == f'"{read.json()["etag"]}"'
    known = await call(own, "GET", path, headers={"If-None-Match": tag})
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", tag)
    head = await call(own, "HEAD", path)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", tag)

    changed = await call(
        own, "PATCH", path, json={"details": {"title": "A roof"}, "favorite": True}, headers={"If-Match": tag}
    )
    assert (changed.status_code, changed.json()["details"]["title"]) == (200, "A roof")
    assert (changed.json()["favorite"], changed.json()["etag"]) == (True, changed.headers["etag"].strip('"'))
    for method, body in (("PATCH", {"rating": 5}), ("DELETE", None)):
        outdated = await call(own, method, path, json=body, headers={"If-Match": tag})
        assert (outdated.status_code, outdated.json()["reason"]) == (412, "ETAG_OUTDATED")
    assert (await call(own, "GET", path)).json()["rating"] == 0
    gone = await call(own, "DELETE", path, headers={"If-Match": changed.headers["etag"]})
    assert (gone.status_code, "deleteTime" in gone.json()) == (200, True)
    assert (await call(own, "GET", path)).status_code == 404
    assert (await call(own, "POST", f"{path}:restore")).status_code == 200
    assert (await call(own, "GET", path)).status_code == 200
    no_etag = await call(own, "POST", f"{path}:restore", headers={"If-Match": tag})
    assert (no_etag.status_code, no_etag.json()["reason"]) == (400, "PRECONDITION_UNSUPPORTED")


async def test_an_ended_job_is_deleted_and_its_video_stays(own: Rig) -> None:
    job = await own.i2v.submit(text_spec(), user=own.user)
    path = f"/v1/{job.name}"
    await own.i2v.ended(job.name, user=own.user)
    deleted = await call(own, "DELETE", path)
    assert (deleted.status_code, "deleteTime" in deleted.json()) == (200, True), deleted.text
    assert (await call(own, "DELETE", f"{path}?stop=true")).json() == deleted.json(), "a repeat changes nothing"
    for gone in (path, f"{path}/events", f"/v1/videos/video_{job.name.removeprefix('jobs/')}"):
        assert (await call(own, "GET", gone)).status_code == 404, gone
    assert (await call(own, "GET", "/v1/jobs")).json()["jobs"] == []
    assert (await call(own, "GET", "/v1/videos")).json()["data"] == []
    kept = (await call(own, "GET", "/v1/assets")).json()["assets"]
    assert [each["name"] for each in kept] == [deleted.json()["output"]["asset"]]


async def test_lists_and_jobs_have_tags_of_what_they_say(own: Rig) -> None:
    empty = await call(own, "GET", "/v1/collections")
    assert (
        await call(own, "GET", "/v1/collections", headers={"If-None-Match": empty.headers["etag"]})
    ).status_code == 304
    await call(own, "POST", "/v1/collections", json={"title": "Roofs"})
    assert (
        await call(own, "GET", "/v1/collections", headers={"If-None-Match": empty.headers["etag"]})
    ).status_code == 200


async def test_collections_and_shares_are_made_changed_and_ended(own: Rig) -> None:
    asset, _ = await own.picture()
    made = await call(own, "POST", "/v1/collections", json={"title": "Roofs"}, headers={"Idempotency-Key": "c"})
    path = f"/v1/{made.json()['name']}"
    assert (made.status_code, made.headers["location"]) == (201, path)
    added = await call(own, "POST", f"{path}:addAssets", json={"assets": [asset.name]})
    assert added.json() == {"added": 1, "left": []}
    changed = await call(own, "PATCH", path, json={"description": "of houses"})
    assert (changed.json()["description"], changed.json()["title"]) == ("of houses", "Roofs")
    share = await call(own, "POST", "/v1/shares", json={"collection": made.json()["name"], "expireIn": "3600s"})
    assert share.status_code == 201, share.text
    assert (await own.http.get(share.json()["url"])).status_code == 200
    ended_share = await call(own, "POST", f"/v1/{share.json()['name']}:revoke")
    assert ended_share.json()["state"] == "REVOKED"
    assert (await call(own, "POST", f"{path}:removeAssets", json={"assets": [asset.name]})).json() == {"removed": 1}
    assert (await call(own, "DELETE", path)).status_code == 200
    assert (await call(own, "GET", path)).json()["reason"] == "NOT_FOUND"


async def test_files_are_signed_verified_and_shown_as_renditions(own: Rig) -> None:
    asset, _ = await own.picture()
    signed = await call(own, "POST", f"/v1/{asset.name}:signUrl", json={"expireIn": "60s", "variant": "thumbnail-128"})
    assert (await own.http.get(signed.json()["url"])).content[8:12] == b"WEBP"
    verified = await call(own, "POST", f"/v1/{asset.name}:verify")
    assert (verified.status_code, verified.json()["verdict"]) == (200, "UNSIGNED")
    rendition = await call(own, "GET", f"/v1/{asset.name}/renditions/thumbnail-128")
    assert (rendition.status_code, rendition.json()["mediaType"]) == (200, "image/webp")
    unknown = await call(own, "GET", f"/v1/{asset.name}/renditions/poster-9")
    assert (unknown.status_code, unknown.json()["violations"][0]["field"]) == (400, "variant")
    found = await call(own, "GET", "/v1/assets", params={"filter": "type = image", "pageSize": 10})
    assert [each["name"] for each in found.json()["assets"]] == [asset.name]
    assert (await call(own, "GET", "/v1/library/statistics")).json()["total"]["assets"] == "1"


async def test_usage_is_read_summed_and_stated_line_by_line(own: Rig) -> None:
    job = (await call(own, "POST", "/v1/jobs", json={"spec": SPEC})).json()["name"]
    await ended(own, job)
    usage = (await call(own, "GET", "/v1/usage")).json()
    assert (usage["plan"], usage["user"]["spent"]["amountMicros"]) == ("test", "1000")
    sums = await call(own, "GET", "/v1/usage:query?groupBy=MODEL&groupBy=OPERATION&wholeTenant=true")
    assert [group["values"] for group in sums.json()["groups"]] == [["test-model", "text-to-video"]]
    entries = await call(own, "GET", f"/v1/usage/entries?job={job}&kind=SETTLE")
    assert [entry["kind"] for entry in entries.json()["entries"]] == ["SETTLE"]
    statement = await call(own, "GET", f"/v1/usage/statement?month={usage['period']}")
    assert statement.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in statement.text.splitlines()]
    assert ("header" in lines[0], "trailer" in lines[-1]) == (True, True)
    assert lines[-1]["trailer"]["sums"]["spent"]["amountMicros"] == "1000"
    wrong = await call(own, "GET", "/v1/usage/statement?month=11")
    assert (wrong.status_code, wrong.json()["violations"][0]["field"]) == (400, "month")


async def test_what_the_api_refuses_has_its_reason_and_the_field_of_json(own: Rig) -> None:
    def spec(**fields: Any) -> dict[str, Any]:
        return {"spec": SPEC | fields}

    cases = [
        (spec(model="none"), 400, "spec.model"),
        (spec(duration="77s"), 400, "spec.duration"),
        (spec(size={"width": 3, "height": 3}), 400, "spec.size"),
        (spec(textToVideo={"prompt": ""}), 400, "spec.textToVideo.prompt"),
        (spec(details={"sourceModule": "\n"}), 400, "spec.details.sourceModule"),
    ]
    for body, status, field in cases:
        answer = await call(own, "POST", "/v1/jobs", json=body)
        problem = answer.json()
        assert (answer.status_code, problem["violations"][0]["field"]) == (status, field), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert problem["type"] == f"urn:i2v:reason:{problem['reason']}"
        assert problem["status"] == status
    assert (await own.i2v.usage(user=own.user)).user.reserved.amount_micros == 0
    unknown = await call(own, "GET", f"/v1/jobs/{uuid.uuid4()}")
    assert (unknown.status_code, unknown.json()["reason"]) == (404, "NOT_FOUND")
    malformed = await call(own, "GET", "/v1/jobs/x~y")
    assert (malformed.status_code, malformed.json()["violations"][0]["field"]) == (400, "job")


async def test_a_limit_of_the_plan_says_what_is_left_in_headers_and_in_the_problem(own: Rig) -> None:
    poor = {"Authorization": "Bearer poor-key"}
    body = {"spec": SPEC | {"duration": "2s"}}
    answer = await call(own, "POST", "/v1/jobs", json=body, headers=poor)
    assert answer.status_code == 429, answer.text
    limit = answer.json()["limits"][0]
    assert (limit["subject"], limit["limit"], limit["asked"]) == ("user", "1500", "2000")
    assert '"user spend month";q=1500' in answer.headers["ratelimit-policy"]
    assert '"user spend month";r=1500' in answer.headers["ratelimit"]


async def test_users_and_tenants_see_only_their_own(own: Rig) -> None:
    job = (await call(own, "POST", "/v1/jobs", json={"spec": SPEC})).json()["name"]
    for other in ({"Authorization": "Bearer story-key"}, {"I2V-User": "bob"}):
        assert (await call(own, "GET", "/v1/jobs", headers=other)).json()["jobs"] == []
        for method, path in (("GET", f"/v1/{job}"), ("POST", f"/v1/{job}:cancel")):
            assert (await call(own, method, path, headers=other)).status_code == 404


async def test_unknown_paths_and_methods_are_problems_and_options_says_what_there_is(own: Rig) -> None:
    for path in ("/v1/", "/v1/job", "/v1/jobs/", "/v1/jobs:nothing", "/v1/jobs/x:nothing", "/v1/tenants", "/v1/plans"):
        answer = await call(own, "GET", path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json"), path
    wrong = await call(own, "PUT", "/v1/jobs")
    assert (wrong.status_code, wrong.json()["reason"]) == (405, "METHOD_UNSUPPORTED")
    assert set(wrong.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
    options = await own.http.options(own.address + "/v1/jobs")
    assert (options.status_code, set(options.headers["allow"].split(", "))) == (
        204,
        {"GET", "HEAD", "POST", "OPTIONS"},
    )
    body = await call(own, "GET", "/v1/jobs", json={})
    assert (body.status_code, body.json()["reason"]) == (400, "BODY_UNEXPECTED")


async def test_the_metrics_count_requests_by_the_template_of_their_path(own: Rig) -> None:
    await call(own, "GET", f"/v1/jobs/{uuid.uuid4()}")
    await call(own, "GET", "/v1/nothing/of/this")
    counted = (await own.http.get(own.metrics)).text
    assert 'i2v_studio_requests_total{method="GET",route="/v1/jobs/{job}",status="404"}' in counted
    assert 'i2v_studio_requests_total{method="GET",route="/v1/{path:path}",status="404"}' in counted


async def test_the_api_may_restart_in_the_middle(database: str, tmp_path: Path) -> None:
    port, api_port = free_port(), free_port()
    address = f"http://{HOST}:{port}"

    def change(values: dict[str, Any]) -> None:
        values["listen"] = f"{HOST}:{api_port}"

    headers = KEY | {"Idempotency-Key": "once"}
    async with AsyncExitStack() as stack, AsyncExitStack() as first:
        await first.enter_async_context(served(database, tmp_path, None, role=Role.API, change=change))
        await stack.enter_async_context(http_process(tmp_path, port, f"{HOST}:{api_port}"))
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=60, headers=headers))
        made = await http.post(f"{address}/v1/jobs", json={"spec": SPEC})
        await first.aclose()
        away = await http.post(f"{address}/v1/jobs", json={"spec": SPEC})
        assert (away.status_code, away.json()["reason"]) == (503, "API_UNAVAILABLE")
        assert (away.headers["retry-after"], str(api_port) in away.text) == ("1", False)
        async with served(database, tmp_path, None, role=Role.API, change=change):
            again = away
            while again.status_code == 503:
                again = await http.post(f"{address}/v1/jobs", json={"spec": SPEC})
            assert (again.status_code, again.json()["name"]) == (201, made.json()["name"])
