"""The error messages of the command line: what went wrong and what to do. Errors in, lines out; prints nothing."""

import json
import re
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import grpc

from i2v_client import Violation
from i2v_client.errors import Busy, I2VError, QuotaExceeded, Unauthenticated, Unreachable
from i2v_client.server_address import DEFAULT
from services.client.exit_codes import ExitCode
from services.client.shell_command import shell_command
from services.reasons import AccessReason

OPTION_OF_FIELD = {
    "operation": "--operation",
    "image_to_video": "--operation",
    "text_to_video": "--operation",
    "scene_animation": "--operation",
    "talking_avatar": "--operation",
    "prompt": "--prompt",
    "image": "--image",
    "fit": "--fit",
    "audio": "--audio",
    "mask": "--mask",
    "negative_prompt": "--negative",
    "prompt_expansion": "--expand",
    "guidance_scale": "--guidance",
    "scene": "--scene",
    "story": "--story",
    "details": "--detail",
    "model": "--model",
    "capability": "--capability",
    "price_max": "--price-max",
    "duration": "--duration",
    "start_timeout": "--start-timeout",
    "size": "--size",
    "resolution": "--resolution",
    "seed": "--seed",
    "quality": "--quality",
    "title": "--title",
    "description": "--description",
    "tags": "--tag",
    "source_module": "--source-module",
}
"""The option for a field of a spec, or of one of its operations."""
FIELD = re.compile(r"\bspec(?:\.\w+)?\.(\w+)|\bi2v-user\b")
"""The path of a field of a spec; or the header with the user."""
OWN_CODES = {
    ExitCode.UNKNOWN: grpc.StatusCode.UNAUTHENTICATED.name,
    ExitCode.INTERRUPTED: grpc.StatusCode.CANCELLED.name,
}
"""The names of errors that a server could have answered with: there is no key; Ctrl-C."""
COMMAND_OF_METHOD = {"ListModels": "models", "PreviewJob": "preview"}
"""The command for a method that the text of an error mentions."""
METHOD = re.compile(rf"\b({'|'.join(COMMAND_OF_METHOD)})\b")
NO_TLS = "WRONG_VERSION_NUMBER"
OF_TLS = re.compile(f"{NO_TLS}|SSL|TLS|security handshaker|certificate|Hostname Verification", re.IGNORECASE)
"""How gRPC speaks of a connection that failed for its TLS alone."""
NO_GRPC = "Failed parsing HTTP/2"
"""gRPC's message for a server that speaks another protocol."""
REFUSED = "Connection refused"
"""gRPC's message for an address at which no program listens."""
UNHEALTHY = "backend unhealthy"
"""gRPC's message for a connected server with a health other than SERVING."""
RESOLVING = re.compile(r"\[field:[^:]* error:(.*)\]$")
"""How gRPC wraps what is wrong with a name."""


def lines(failed: I2VError, server: str) -> list[str]:
    """Returns what went wrong and what to do, as lines."""
    if isinstance(failed, Busy):
        return [failed.message]
    if isinstance(failed, Unreachable):
        return _unreachable(failed, server)
    if isinstance(failed, Unauthenticated) and failed.reason != AccessReason.TENANT_SUSPENDED:
        hint = "The key is that of --key-file or I2V_KEY_FILE, else of I2V_KEY, else of the profile."
        return [failed.message, hint]
    if isinstance(failed, QuotaExceeded):
        return _quota(failed)
    if failed.violations:
        return [of_field(violation) for violation in failed.violations]
    return [failed.message]


def _quota(failed: QuotaExceeded) -> list[str]:
    """Returns a line for each limit that refused, and when to try again, where waiting helps."""
    said = [each.description for each in failed.limits] or [failed.message]
    if (more := int(failed.metadata.get("violations", 0)) - len(failed.limits)) > 0 and failed.limits:
        said.append(f"{more} more {'limit refuses' if more == 1 else 'limits refuse'} it too.")
    if failed.retry_after_s is not None:
        said.append(f"Try again in {_span(failed.retry_after_s)}.")
    return said


def outage(failed: Unreachable) -> str:
    """Returns why the client waits for the server, in a sentence."""
    return f"The server cannot do this now: {failed.message}" if failed.reason else "The server does not answer."


def _unreachable(failed: Unreachable, server: str) -> list[str]:
    if failed.reason:
        return [f"The server at {server} cannot do this now: {failed.message}"]
    # gRPC's own message ends with the cause, after the names of its layers.
    resolving = RESOLVING.search(failed.message)
    message = resolving[1] if resolving else failed.message
    layers = [layer for layer in message.split(": ") if layer != "OK"]
    start_command = " (`make run`)" if server == DEFAULT and REFUSED in message else ""
    why, advice = layers[-1], f"Is it running{start_command}? Another one is chosen with --server or I2V_SERVER."
    if why == UNHEALTHY:
        why, advice = "it reports that it does not serve now", "Its database or object store may be down. Try again."
    elif NO_GRPC in message:
        why, advice = "it does not speak gRPC", "Is this the port of the API, and does it speak TLS (--tls)?"
    elif not resolving and OF_TLS.search(message):
        why = "it does not speak TLS" if NO_TLS in message else why
        advice = "TLS failed. It is chosen with --tls or I2V_SERVER_TLS, whom to trust with --ca-file."
    return [f"The server at {server} cannot be reached: {why.rstrip('.')}.", advice]


def of_field(violation: Violation) -> str:
    """Returns what is wrong with a field, with the names of options and commands."""
    described = METHOD.sub(lambda found: shell_command(COMMAND_OF_METHOD[found[0]]), violation.description)
    return FIELD.sub(_option, f"{violation.field}: {described}")


def _option(path: re.Match[str]) -> str:
    return OPTION_OF_FIELD.get(path[1], path[0]) if path[1] else "--user"


def _span(length_s: float) -> str:
    days, rest = divmod(timedelta(seconds=round(length_s)), timedelta(days=1))
    return f"{days} d {rest}" if days else str(rest)


def as_json(failed: I2VError) -> str:
    """Returns what went wrong, for a program."""
    return _json(
        failed.code.name,
        failed.message,
        reason=failed.reason,
        violations=[
            {"field": each.field, "description": each.description, "reason": each.reason} for each in failed.violations
        ],
        limits=[
            asdict(each) | {"resets_at": each.resets_at.isoformat() if each.resets_at else None}
            for each in failed.limits
        ],
        metadata=dict(failed.metadata),
        retry_after_s=failed.retry_after_s,
    )


def own_as_json(code: ExitCode, message: str) -> str:
    """Returns an error of the command itself, which has no status of a call, in the same form."""
    return _json(OWN_CODES.get(code, code.name), message)


def _json(code: str, message: str, **more: Any) -> str:
    empty: dict[str, Any] = {"reason": "", "violations": [], "limits": [], "metadata": {}, "retry_after_s": None}
    return json.dumps({"error": {"code": code, "message": message} | empty | more})
