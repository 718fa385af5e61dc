"""`/v1/videos` and `/v1/models`: the requests, in the shape of OpenAI's Videos API."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from i2v.v1 import catalog_pb2, job_pb2
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.reasons import HttpReason
from services.studio.caller import Caller
from services.studio.file_answer import File, FileAnswer
from services.studio.idempotency import key_of, request_id
from services.studio.refused_request import RefusedRequest
from services.studio.request_body import Bodies
from services.studio.resource import Endpoint, Resource
from services.studio.videos import error_json, job_spec, video_body, video_request
from services.studio.videos.api import Api
from services.studio.videos.video_json import REMIXED, job_name, video, video_id
from services.studio.videos.video_request import VideoRequest

VARIANTS = {"video": "", "thumbnail": "thumbnail-512", "spritesheet": "storyboard"}
"""The API's variants by those of the shape."""
LIST_MOST = 100
PRIVATE = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class VideoRoutes:
    """Answers the requests."""

    api: Api
    files: FileAnswer
    bodies: Bodies = field(default_factory=Bodies)

    def routes(self) -> list[Route]:
        """Returns what is answered."""
        return [
            Route("/v1/videos", _resource({"GET": self.list, "POST": self.create})),
            Route("/v1/videos/{id}", _resource({"GET": self.retrieve, "DELETE": self.delete})),
            Route("/v1/videos/{id}/content", _resource({"GET": self.content})),
            Route("/v1/videos/{id}/remix", _resource({"POST": self.remix})),
            Route("/v1/models", _resource({"GET": self.models})),
            *(Route(f"/v1/{path}/{{rest:path}}", _resource({})) for path in ("videos", "models")),
        ]

    async def create(self, request: Request, who: Caller) -> Response:
        """Submits a job."""
        once = request_id(key_of(request))
        await self.api.check(who)  # before the body is read
        async with self.bodies.of(request, who.credential, video_body.fields) as (fields, file):
            wanted = video_request.read(fields, file)
            model = await self._model(who, wanted)
            picture = wanted.asset or (await self.api.upload(who, wanted.picture) if wanted.picture else "")
        spec = job_spec.spec(wanted, model, picture)
        job = await self.api.submit(who, job_pb2.SubmitJobRequest(request_id=once, spec=spec))
        return _json(video(job))

    async def remix(self, request: Request, who: Caller) -> Response:
        """Submits the job of a video again with another prompt, and with a new seed."""
        once = request_id(key_of(request))
        first = await self._video(request, who)
        async with self.bodies.of(request, who.credential, video_body.fields) as (fields, _):
            prompt = video_request.read(fields).prompt
        spec = job_pb2.JobSpec()
        spec.CopyFrom(first.spec)
        operation = getattr(spec, str(spec.WhichOneof("operation")))
        if "prompt" not in operation.DESCRIPTOR.fields_by_name:
            sentence = "The prompt of this video is written from its scene. Submit another scene."
            raise RefusedRequest(sentence, reason=HttpReason.FIELD_MALFORMED, param="prompt")
        operation.prompt = prompt
        spec.ClearField("seed")
        spec.details.title = ""
        spec.details.custom_metadata[REMIXED] = video_id(first.name)
        job = await self.api.submit(who, job_pb2.SubmitJobRequest(request_id=once, spec=spec))
        return _json(video(job))

    async def retrieve(self, request: Request, who: Caller) -> Response:
        """Returns a video."""
        return _json(video(await self._video(request, who)))

    async def list(self, request: Request, who: Caller) -> Response:
        """Returns a page of the caller's videos, without deleted ones."""
        limit, order = request.query_params.get("limit", "20"), request.query_params.get("order", "desc")
        if not (limit.isascii() and limit.isdigit() and len(limit) <= 3 and 1 <= int(limit) <= LIST_MOST):
            sentence = f"Give a whole number from 1 to {LIST_MOST}."
            raise RefusedRequest(sentence, reason=HttpReason.FIELD_MALFORMED, param="limit")
        if order not in ("asc", "desc"):
            raise RefusedRequest("Give 'asc' or 'desc'.", reason=HttpReason.FIELD_MALFORMED, param="order")
        page = job_pb2.ListJobsRequest(page_size=int(limit), oldest_first=order == "asc", omit_deleted=True)
        if after := request.query_params.get("after", ""):
            page.after = job_name(after)
        found = await self.api.jobs(who, page)
        data = [video(job) for job in found.jobs]
        ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
        return _json({"object": "list", "data": data, **ends, "has_more": bool(found.next_page_token)})

    async def delete(self, request: Request, who: Caller) -> Response:
        """Moves a complete video to the trash. Of any other the job is deleted, and stopped before if it runs."""
        job = await self._video(request, who)
        if job.state != job_pb2.Job.SUCCEEDED:
            job = await self.api.delete_job(who, job.name)
        if job.state == job_pb2.Job.SUCCEEDED:  # perhaps since the read
            await self.api.delete(who, job.output.asset)
        return _json({"id": video_id(job.name), "object": "video.deleted", "deleted": True})

    async def content(self, request: Request, who: Caller) -> Response:
        """Returns the file of a video, or a picture of it."""
        asked = request.query_params.get("variant", "video")
        if asked not in VARIANTS:
            names = ", ".join(VARIANTS)
            raise RefusedRequest(f"Give one of {names}.", reason=HttpReason.FIELD_MALFORMED, param="variant")
        job, variant = await self._job(request, who), VARIANTS[asked]
        if job.state != job_pb2.Job.SUCCEEDED:
            sentence = f"The video is {video(job)['status']}, and has no content."
            raise RefusedRequest(sentence, reason=HttpReason.VIDEO_UNFINISHED, status=409)
        name = job.output.asset
        found: Any
        if variant:
            found = await self.api.rendition(who, name, variant)
        else:
            found = await self.api.asset(who, name)
        file = File(
            digest=name.removeprefix("assets/"),
            variant=variant,
            size_bytes=found.size_bytes,
            media_type=found.media_type,
            download_name="",
            headers={"Cache-Control": "private, no-cache"},
        )
        return await self.files.answer(request, file, partial(self.api.read, who, name, variant), error_json.of_failure)

    async def models(self, request: Request, who: Caller) -> Response:
        """Returns the models, in the shape of OpenAI's."""
        data = [
            {"id": model.name.removeprefix("models/"), "object": "model", "created": 0, "owned_by": "i2v"}
            for model in await self.api.models(who)
        ]
        return _json({"object": "list", "data": data})

    async def _video(self, request: Request, who: Caller) -> job_pb2.Job:
        """Returns the job of a video. Raises ApiError, RefusedRequest if the video was deleted."""
        job = await self._job(request, who)
        if job.state == job_pb2.Job.SUCCEEDED:
            await self.api.asset(who, job.output.asset)
        return job

    async def _job(self, request: Request, who: Caller) -> job_pb2.Job:
        """Returns the job of a video, whether or not its file was deleted."""
        return await self.api.job(who, job_name(request.path_params["id"]))

    async def _model(self, who: Caller, wanted: VideoRequest) -> catalog_pb2.Model | None:
        """Returns the card of the model, if the spec depends on it."""
        if not wanted.model:
            with_picture = bool(wanted.picture or wanted.asset)
            return job_spec.choose(await self.api.models(who), with_picture=with_picture)
        return await self.api.model(who, wanted.model) if wanted.size else None


def _resource(methods: Mapping[str, Endpoint]) -> Resource:
    return Resource(methods, error_json, options=False)


def _json(value: object) -> JSONResponse:
    return JSONResponse(value, headers=PRIVATE)
