"""Requests that are refused before their path is looked at, in the form of the path's clients all the same."""

from starlette.responses import Response
from starlette.types import Scope

from services.studio import problem
from services.studio.refused_request import RefusedRequest
from services.studio.videos import error_json

OF_OPENAI = ("/v1/videos", "/v1/models")


def refuse(scope: Scope, refused: RefusedRequest) -> Response:
    """Returns the response; its connection is closed."""
    of_openai = scope["path"].startswith(OF_OPENAI)
    response = error_json.of_refusal(refused) if of_openai else problem.of_refusal(refused)
    response.headers["Connection"] = "close"
    return response
