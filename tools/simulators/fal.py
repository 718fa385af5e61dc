"""fal, simulated: `python -m tools.simulators.fal`."""

from typing import Any

from aiohttp import web

from tools.simulators.simulator import Simulator, main
from tools.simulators.task import Refusal, Request, Work

MODEL = "fal-ai/wan-25-preview/image-to-video"
REQUESTS = "/fal-ai/wan-25-preview/requests/{ref}"
NEEDED = {"prompt", "image_url"}
ALLOWED = {"audio_url", "resolution", "duration", "negative_prompt", "enable_prompt_expansion", "seed"}
FAILURES = {
    "failed": (500, "internal_server_error"),
    "timeout": (504, "request_timeout"),
    "cancelled": (499, "request_cancelled"),
}


class FalSimulator(Simulator):
    """The vendor fal."""

    name = "fal"

    def add_routes(self) -> None:
        routes = self.application.router
        routes.add_post(f"/{MODEL}", self._submit)
        routes.add_get(f"{REQUESTS}/status", self._status)
        routes.add_get(REQUESTS, self._result)
        routes.add_put(f"{REQUESTS}/cancel", self._cancel)
        routes.add_post("/storage/upload/initiate", self._initiate)
        routes.add_put("/storage/put/{name}", self._put)

    def is_known(self, request: web.Request) -> bool:
        return self._any_key or request.headers.get("authorization") == f"Key {self.key}"

    def refusal(self, status: int, words: str) -> web.Response:
        if words == "moderation":
            detail: object = [{"loc": ["body", "prompt"], "msg": "flagged", "type": "content_policy_violation"}]
        else:
            detail = words
        return web.json_response({"detail": detail}, status=status)

    def words_of(self, kind: str) -> tuple[int, str]:
        return {
            "moderation": (422, "moderation"),
            "bad-key": (401, "No user found for Key ID and Secret"),
            "no-credit": (403, "User is locked. Reason: Exhausted balance. Top up your balance."),
        }[kind]

    async def _submit(self, request: web.Request) -> web.StreamResponse:
        if self.scenario.submit == "envelope":
            self.counts["submit"] += 1
            return self.refusal(self.scenario.status, self.scenario.words or "no")
        return await self.submit(request, self._request)

    def _request(self, fields: dict[str, Any]) -> Request:
        if missing := NEEDED - set(fields):
            raise Refusal(422, f"{min(missing)} is required")
        if unknown := set(fields) - NEEDED - ALLOWED:
            raise Refusal(422, f"{min(unknown)} is unknown")
        if fields.get("duration", "5") not in ("5", "10"):
            raise Refusal(422, "duration is 5 or 10")
        sound = None
        if "audio_url" in fields:
            if not fields["audio_url"].startswith("http"):
                raise Refusal(422, "audio_url must be publicly accessible")
            sound = self.given(fields["audio_url"])
        side = int(fields.get("resolution", "1080p").removesuffix("p"))
        seconds = float(fields.get("duration", "5"))
        return Request(MODEL, self.given(fields["image_url"]), side, seconds, sound, fields["prompt"])

    def acceptance(self, work: Work) -> dict[str, Any]:
        return {"status": "IN_QUEUE", "queue_position": 0, **self._names(work)}

    def _names(self, work: Work) -> dict[str, Any]:
        """Returns the fields by which every answer about a request names it."""
        owner, app = work.request.model.split("/")[:2]
        base = f"{self.url}/{owner}/{app}/requests/{work.ref}"
        named = {"response_url": base, "status_url": f"{base}/status", "cancel_url": f"{base}/cancel"}
        return {"request_id": work.ref, **named} if work.ref else {}

    def spoiled(self, answer: dict[str, Any], how: str) -> dict[str, Any]:
        if how == "no-id":
            del answer["request_id"]
        elif how == "bad-id":
            answer["request_id"] = "../../account"
        elif how == "same-id":
            return self.acceptance(list(self.works.values())[-2])
        elif how == "other-model":
            answer["response_url"] = answer["response_url"].replace("wan-25-preview", "veo3")
        return answer

    async def _status(self, request: web.Request) -> web.StreamResponse:
        def answer(work: Work, state: str) -> web.Response:
            body = self._names(work)
            if state == "deleted":
                return self.refusal(404, "not found")
            if state in ("queue", "work"):
                body["status"] = "IN_QUEUE" if state == "queue" else "IN_PROGRESS"
                return web.json_response(body, status=202)
            body |= {"status": "COMPLETED", "metrics": {"inference_time": 1.234}}
            if state in FAILURES:
                body |= {"error": state, "error_type": FAILURES[state][1]}
            return web.json_response(body)

        return await self.poll(request, answer)

    async def _result(self, request: web.Request) -> web.StreamResponse:
        def answer(work: Work, state: str) -> web.Response:
            if state in FAILURES:
                status, kind = FAILURES[state]
                body: dict[str, object] = {"detail": work.scenario.words or "the runner broke", "error_type": kind}
                return web.json_response(body, status=status, headers={"x-fal-error-type": kind})
            if state == "moderation":
                return self.refusal(422, "moderation")
            if state == "no-output":
                return web.json_response({"video": {}})
            video = {"url": self.output_url(work), "content_type": "video/mp4", "duration": work.request.seconds}
            body = {"video": video, "seed": 7, "actual_prompt": work.request.prompt}
            return web.json_response(body | (self._names(work) if work.ref not in request.path else {}))

        return await self.poll(request, answer)

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        self.counts["cancel"] += 1

        def answer(work: Work, state: str) -> web.Response:
            if work.ref not in request.path or work.request.model != MODEL:
                return web.json_response({"status": "OK", **self._names(work)})
            if state == "queue":
                work.cancelled = True
                return web.json_response({"status": "OK"})
            if state == "work":
                return web.json_response({"status": "CANCELLATION_REQUESTED"}, status=202)
            return web.json_response({"status": "ALREADY_COMPLETED"}, status=400)

        return await self.poll(request, answer)

    async def _initiate(self, request: web.Request) -> web.Response:
        self.counts["upload"] += 1
        if not self.is_known(request):
            return self.refusal(401, "No user found for Key ID and Secret")
        if self.scenario.upload:
            return self.refusal(self.scenario.upload, self.scenario.words)
        name = f"{len(self.uploads)}"
        self.uploads[name] = b""
        body = {"upload_url": f"{self.url}/storage/put/{name}", "file_url": f"{self.url}/uploads/{name}"}
        return web.json_response(body)

    async def _put(self, request: web.Request) -> web.Response:
        assert "authorization" not in request.headers, "the key went to where uploads lie"
        self.uploads[request.match_info["name"]] = await request.read()
        return web.Response()


if __name__ == "__main__":
    main(FalSimulator, 8602)
