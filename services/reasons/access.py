"""Reasons of who may do what: keys, tokens, scopes, roles, tenants and their administration."""

from services.reasons.reason import Advice, Code, Reason


class AccessReason(Reason):
    """Why a credential does not allow a call, or a change of tenants, keys, operators or limits is refused."""

    API_KEY_REVOKED = (
        "API_KEY_REVOKED",
        "The key was revoked, or its tenant deleted. Use another key. An open stream of the key ends with this too.",
        Code.UNAUTHENTICATED,
        Advice.OPERATORS,
    )
    API_KEY_EXPIRED = (
        "API_KEY_EXPIRED",
        "The key has expired; the metadata has `expire_time`. Use another key.",
        Code.UNAUTHENTICATED,
        Advice.OPERATORS,
    )
    TOKEN_MALFORMED = (
        "TOKEN_MALFORMED",
        "The token is no signed JWT, or a claim has the wrong type. Get another one from its issuer.",
        Code.UNAUTHENTICATED,
    )
    TOKEN_ALGORITHM = (
        "TOKEN_ALGORITHM",
        "The token is not signed, or not with RS, PS, ES or EdDSA, or not with the algorithm of its key.",
        Code.UNAUTHENTICATED,
    )
    TOKEN_SIGNATURE = (
        "TOKEN_SIGNATURE",
        "The signature does not match the token. Get another one from its issuer.",
        Code.UNAUTHENTICATED,
    )
    TOKEN_KEY_UNKNOWN = (
        "TOKEN_KEY_UNKNOWN",
        "The issuer's list of keys does not have the token's `kid`. The service reads the list again; repeat in a "
        "minute, or get another token.",
        Code.UNAUTHENTICATED,
        Advice.RETRY,
    )
    TOKEN_EXPIRED = "TOKEN_EXPIRED", "The token has expired. Get another one from its issuer.", Code.UNAUTHENTICATED
    TOKEN_NOT_YET_VALID = (
        "TOKEN_NOT_YET_VALID",
        "The token's `nbf` or `iat` is in the future. Compare the clocks of issuer and service.",
        Code.UNAUTHENTICATED,
    )
    TOKEN_ISSUER = "TOKEN_ISSUER", "The token is of another issuer.", Code.UNAUTHENTICATED
    TOKEN_AUDIENCE = "TOKEN_AUDIENCE", "The token is for another service.", Code.UNAUTHENTICATED
    TOKEN_TENANT_UNKNOWN = (
        "TOKEN_TENANT_UNKNOWN",
        "The token names no tenant of this service. Operators create it.",
        Code.UNAUTHENTICATED,
        Advice.OPERATORS,
    )
    TOKEN_KEYS_UNAVAILABLE = (
        "TOKEN_KEYS_UNAVAILABLE",
        "The issuer's list of keys was not read yet. Repeat after `RetryInfo`; API keys work.",
        Code.UNAVAILABLE,
        Advice.RETRY,
    )
    USER_MISMATCH = (
        "USER_MISMATCH",
        "The token names another user than `i2v-user`. Leave `i2v-user` out.",
        Code.PERMISSION_DENIED,
    )
    SCOPE_MISSING = (
        "SCOPE_MISSING",
        "The key or token does not have the scope of this method; the metadata has `scope`. Use another key.",
        Code.PERMISSION_DENIED,
    )
    ROLE_MISSING = (
        "ROLE_MISSING",
        "The operator does not have the role of this method; the metadata has `role`.",
        Code.PERMISSION_DENIED,
    )
    TENANT_SUSPENDED = (
        "TENANT_SUSPENDED",
        "Operators have suspended the tenant. It may read, download and cancel, but not submit or upload.",
        Code.PERMISSION_DENIED,
        Advice.OPERATORS,
    )
    OTHER_TENANT = (
        "OTHER_TENANT",
        "A tenant's admin has access to the keys and the log of this tenant alone.",
        Code.PERMISSION_DENIED,
    )
    SIGNED_URL_WRONG = (
        "SIGNED_URL_WRONG",
        "The URL was altered or cut off. Get another one by SignUrl.",
        Code.UNAUTHENTICATED,
    )
    SIGNED_URL_EXPIRED = (
        "SIGNED_URL_EXPIRED",
        "The metadata has `expire_time`. Get another URL by SignUrl.",
        Code.UNAUTHENTICATED,
    )
    SIGNED_URL_ONLY = (
        "SIGNED_URL_ONLY",
        "The token of a signed URL reads its asset and does nothing else. A key does not open what a signed URL does.",
        Code.PERMISSION_DENIED,
    )
    LIVE_URL_ONLY = (
        "LIVE_URL_ONLY",
        "The token of a live URL reads the fragments of its job and does nothing else. A key does not open them.",
        Code.PERMISSION_DENIED,
    )
    SHARE_ONLY = (
        "SHARE_ONLY",
        "The token of a share reads what is shared and does nothing else. A key does not open what a share does.",
        Code.PERMISSION_DENIED,
    )
    SESSION_ENDED = (
        "SESSION_ENDED",
        "The session was ended by its user, has expired, or was never begun. Sign in again. Open streams end too.",
        Code.UNAUTHENTICATED,
    )
    SESSION_ONLY = (
        "SESSION_ONLY",
        "A session ends itself; a key is revoked by RevokeKey.",
        Code.PERMISSION_DENIED,
    )
    SESSION_FROM_SESSION = (
        "SESSION_FROM_SESSION",
        "A session begins no other session, so that each ends in time. Call with the key or the JWT.",
        Code.PERMISSION_DENIED,
    )
    TICKET_ENDED = (
        "TICKET_ENDED",
        "The sign-in link was used, is older than ten minutes, or was cut off. Get another one by CreateSignInLink.",
        Code.UNAUTHENTICATED,
    )
    TICKET_ONLY = (
        "TICKET_ONLY",
        "The ticket of a sign-in link begins its session and does nothing else. A key does not do what a ticket does.",
        Code.PERMISSION_DENIED,
    )
    TENANT_ID_MALFORMED = "TENANT_ID_MALFORMED", "1 to 63 of a-z, 0-9 and -; the first is no -."
    TENANT_MISSING = "TENANT_MISSING", "Operators name the tenant."
    TENANT_EXISTS = "TENANT_EXISTS", "There is or was a tenant with this id. Use another.", Code.FAILED_PRECONDITION
    TENANT_DELETED = "TENANT_DELETED", "The tenant is deleted. Create another one.", Code.FAILED_PRECONDITION
    TENANT_HAS_JOBS = (
        "TENANT_HAS_JOBS",
        "The tenant has jobs that have not ended; the metadata has `unfinished_jobs`. Wait, or use `cancel_jobs`.",
        Code.FAILED_PRECONDITION,
    )
    PLAN_NAME_UNKNOWN = "PLAN_NAME_UNKNOWN", "Give a plan of `plans.toml`; the message names them."
    TIME_ZONE_UNKNOWN = "TIME_ZONE_UNKNOWN", "Give a name of the IANA database, such as `Europe/Berlin`."
    DATE_MALFORMED = "DATE_MALFORMED", "Give a date such as `2026-11-30`."
    KEY_NAME_MALFORMED = "KEY_NAME_MALFORMED", "1 to 128 printable characters."
    SCOPE_UNKNOWN = "SCOPE_UNKNOWN", "Give scopes of `Key.Scope`."
    ROLE_UNKNOWN = "ROLE_UNKNOWN", "Give a role of `Operator.Role`."
    EXPIRE_TIME_PAST = "EXPIRE_TIME_PAST", "Give a time in the future, or none."
    OVERLAP_OUT_OF_RANGE = "OVERLAP_OUT_OF_RANGE", "0 seconds to 30 days."
    KEY_ENDED = (
        "KEY_ENDED",
        "The key is revoked or has expired, so it cannot be rotated. Create another one.",
        Code.FAILED_PRECONDITION,
    )
    KEYS_MOST = (
        "KEYS_MOST",
        "The tenant has as many working keys as it may; the metadata has the `limit`. Revoke some.",
        Code.FAILED_PRECONDITION,
    )
    LIMIT_UNKNOWN = (
        "LIMIT_UNKNOWN",
        "A limit is a subject, a measure and a period, such as `user spend month` or `user jobs:model=nano day`, and "
        "its subject is the one that the request names.",
    )
    LIMITS_MOST = (
        "LIMITS_MOST",
        "The tenant has as many overrides as it may; the metadata has the `limit`. Remove some, or give it a plan.",
        Code.FAILED_PRECONDITION,
    )
    AMOUNT_OUT_OF_RANGE = "AMOUNT_OUT_OF_RANGE", "Give an amount within the range of the message."
    REASON_MISSING = "REASON_MISSING", "Say why, in 1 to 500 characters: it goes into the audit log."
    DEBIT_TOO_LARGE = (
        "DEBIT_TOO_LARGE",
        "Less is left of the month's limit; the metadata has `left`. Debit less, or cancel jobs first.",
        Code.FAILED_PRECONDITION,
    )
    BUDGET_UNLIMITED = (
        "BUDGET_UNLIMITED",
        "The plan does not limit what is spent, so there is nothing to add to or take from.",
        Code.FAILED_PRECONDITION,
    )
