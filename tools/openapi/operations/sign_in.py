"""`/`, `/sign-in` and `/sign-out`: the pages for people."""

from tools.openapi.operation import Answer, Body, Operation, Parameter, Part

HTML = {"text/html": {"type": "string"}}
FORM = "application/x-www-form-urlencoded"
LATER = {"Retry-After": "Seconds until a repeat may succeed."}
TICKET = Parameter(
    name="ticket",
    where="path",
    description="From the link that CreateSignInLink or `i2v open` made.",
    schema={"type": "string", "pattern": "^i2vt_[A-Za-z0-9_-]{43}$"},
    example="i2vt_…",
)
IN = {
    303: Answer(
        description="To the page, with the session's cookie.",
        headers={"Location": "`/`", "Set-Cookie": "The session: `HttpOnly`, `SameSite=Strict`."},
    )
}
REFUSED = {
    400: Answer(description="The form did not arrive, or the name is malformed.", contents=HTML),
    403: Answer(description="Another site sent the form, or the tenant is suspended.", contents=HTML),
    429: Answer(description="Too many calls are open.", contents=HTML, headers=LATER),
    502: Answer(description="The API did not answer as expected.", contents=HTML),
    503: Answer(description="The service is busy or away.", contents=HTML, headers=LATER),
    504: Answer(description="The service did not answer in time.", contents=HTML, headers=LATER),
}
WRONG = {401: Answer(description="The key is unknown, revoked, expired or an operator's.", contents=HTML)}
UNKNOWN = {404: Answer(description="What is no ticket was never a link.", contents=HTML)}
TWICE = {400: Answer(description="The cookie came twice.", contents=HTML)}

PART = Part(
    tag="Pages",
    description="The page for people, and how they sign in to it. Programs need none of this: they send a key.",
    operations=(
        Operation(
            method="get",
            path="/",
            operation_id="showPage",
            summary="Show the page of a person who is signed in",
            answers={
                200: Answer(description="The page.", contents=HTML),
                303: Answer(description="To the sign-in page.", headers={"Location": "`/sign-in`"}),
                503: REFUSED[503],
            }
            | TWICE,
            needs_key=False,
        ),
        Operation(
            method="get",
            path="/sign-in",
            operation_id="showSignIn",
            summary="Show the sign-in page",
            answers={200: Answer(description="The page.", contents=HTML)},
            needs_key=False,
        ),
        Operation(
            method="post",
            path="/sign-in",
            operation_id="signIn",
            summary="Sign in with a key",
            description="A form of a browser, from the sign-in page alone (`Origin`).",
            body=Body(
                contents={
                    FORM: {
                        "type": "object",
                        "required": ["key"],
                        "properties": {
                            "key": {"type": "string", "maxLength": 8192, "description": "An API key, or a token."},
                            "user": {"type": "string", "maxLength": 128, "description": "The user; default `default`."},
                        },
                    }
                },
                example={"key": "i2v_…", "user": "ann"},
            ),
            answers=IN | REFUSED | WRONG,
            needs_key=False,
        ),
        Operation(
            method="get",
            path="/sign-in/{ticket}",
            operation_id="showSignInLink",
            summary="Show the button of a sign-in link",
            parameters=(TICKET,),
            answers={200: Answer(description="The page. The link still works.", contents=HTML)} | UNKNOWN,
            needs_key=False,
        ),
        Operation(
            method="post",
            path="/sign-in/{ticket}",
            operation_id="useSignInLink",
            summary="Sign in with a link",
            parameters=(TICKET,),
            answers=IN
            | {status: answer for status, answer in REFUSED.items() if status != 400}
            | WRONG
            | UNKNOWN
            | {410: Answer(description="The link was used, or is too old.", contents=HTML)},
            needs_key=False,
        ),
        Operation(
            method="post",
            path="/sign-out",
            operation_id="signOut",
            summary="End the session",
            answers={
                303: Answer(
                    description="To the sign-in page. The session has ended, and the cookie is gone.",
                    headers={"Location": "`/sign-in`", "Set-Cookie": "The empty cookie."},
                ),
                403: Answer(description="Another site sent the form.", contents=HTML),
                503: REFUSED[503],
            }
            | TWICE,
            needs_key=False,
        ),
    ),
)
