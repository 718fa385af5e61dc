"""Why a sign-in failed, as a sentence for a person and a status of HTTP."""

from dataclasses import dataclass

import grpc

from services.reasons import AccessReason, CallReason, RetentionReason
from services.rpc.status_codes import Failure
from services.studio import statuses
from services.studio.refusal import BUSY

WRONG_KEY = "This is not a key of this service. Copy it once more, completely, or ask where you got it."
SENTENCES: dict[str, str] = {
    AccessReason.API_KEY_REVOKED: "This key was revoked. Ask for another one.",
    AccessReason.API_KEY_EXPIRED: "This key has expired. Ask for another one.",
    AccessReason.TOKEN_EXPIRED: "This token has expired. Get another one from your company’s sign-in.",
    AccessReason.TENANT_SUSPENDED: "Your organisation’s access is suspended. Ask the people who run this service.",
    CallReason.TENANTS_ONLY: "This is the key of an operator, who has no videos. Use the key of an organisation.",
    CallReason.OPERATORS_ONLY: "This key cannot sign in.",
}
OF_USER: dict[str, str] = {
    AccessReason.USER_MISMATCH: "This token is for another name. Leave the name empty.",
    CallReason.USER_MALFORMED: "A name has 1 to 128 letters, digits and signs without accents.",
    RetentionReason.USER_IN_DELETION: "Everything of this name is just being deleted. Use another name, or wait.",
}


@dataclass(frozen=True, slots=True)
class SignInRefusal:
    """Why there is no session."""

    sentence: str
    status: int
    field: str = ""
    """`key` or `user`; empty: neither is wrong."""
    outcome: str = "refused"
    """In the metrics: `refused`, or `failed` if the service was away."""


def refusal_of(failure: Failure) -> SignInRefusal:
    """Returns why the API began no session."""
    if failure.reason in OF_USER:
        return SignInRefusal(OF_USER[failure.reason], 400, "user")
    if failure.reason == AccessReason.TENANT_SUSPENDED:
        return SignInRefusal(SENTENCES[failure.reason], 403)
    if failure.code in BUSY:
        sentence = "The service is busy or away. Nothing is wrong with your key: try again in a moment."
        if failure.reason == CallReason.KEYS_BUSY:
            sentence = "Too many wrong keys arrive now. Try again in a moment."
        return SignInRefusal(sentence, statuses.status_of(failure), outcome="failed")
    if failure.code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND):
        return SignInRefusal(SENTENCES.get(failure.reason, WRONG_KEY), 401, "key")
    return SignInRefusal("The service did not answer as expected. Ask the people who run it.", 502, outcome="failed")
