"""Reasons of calls of any method: keys, limits of calls, messages that do not come or cannot be read."""

from services.reasons.reason import Advice, Code, Reason


class CallReason(Reason):
    """Why a call does not reach its method, or is ended while its method runs."""

    API_KEY_MISSING = "API_KEY_MISSING", "Send `authorization: Bearer <key>`.", Code.UNAUTHENTICATED
    API_KEY_UNKNOWN = (
        "API_KEY_UNKNOWN",
        "The key is not known. Ask the operators for one.",
        Code.UNAUTHENTICATED,
        Advice.OPERATORS,
    )
    PLAN_UNKNOWN = (
        "PLAN_UNKNOWN",
        "Operators add the tenant's plan to `plans.toml`, or give the tenant another.",
        Code.FAILED_PRECONDITION,
        Advice.OPERATORS,
    )
    OPERATORS_ONLY = (
        "OPERATORS_ONLY",
        "Operators have keys of their own kind. Use one for this method.",
        Code.PERMISSION_DENIED,
    )
    TENANTS_ONLY = (
        "TENANTS_ONLY",
        "Tenants have keys of their own kind. Use one for this method.",
        Code.PERMISSION_DENIED,
    )
    USER_MALFORMED = "USER_MALFORMED", "`i2v-user` has 1 to 128 printable characters, or is left out."
    METADATA_REPEATED = "METADATA_REPEATED", "Send `authorization` and `i2v-user` once each."
    REQUEST_MALFORMED = (
        "REQUEST_MALFORMED",
        "The bytes are no message of this method. Use stubs generated from the service's protos.",
    )
    REQUEST_MISSING = "REQUEST_MISSING", "The method takes one message, and none came."
    REQUEST_LATE = (
        "REQUEST_LATE",
        "The first message did not come in time (`I2V_FIRST_MESSAGE_S`). Call again.",
        Code.UNAVAILABLE,
        Advice.RETRY,
    )
    SENDER_STALLED = (
        "SENDER_STALLED",
        "The next message did not come in time (`I2V_NEXT_MESSAGE_S`). Call again.",
        Code.UNAVAILABLE,
        Advice.RETRY,
    )
    READER_STALLED = (
        "READER_STALLED",
        "The caller read nothing from the stream for `I2V_TAKING_S`. Call again: a download continues from its offset, "
        "a watch from its last sequence number.",
        Code.UNAVAILABLE,
        Advice.RETRY,
    )
    DEADLINE_TOO_SHORT = (
        "DEADLINE_TOO_SHORT",
        "The call's deadline leaves too little time to answer. Give it more.",
        Code.DEADLINE_EXCEEDED,
    )
    KEYS_BUSY = (
        "KEYS_BUSY",
        "Too many unknown keys arrive at the same time, and yours was not looked up yet. Repeat after `RetryInfo`.",
        Code.UNAVAILABLE,
        Advice.RETRY,
    )
    INTAKE_FULL = (
        "INTAKE_FULL",
        "Too many calls arrive at the same time. Repeat after `RetryInfo`.",
        Code.UNAVAILABLE,
        Advice.RETRY,
    )
    OPEN_CALLS_LIMIT_REACHED = (
        "OPEN_CALLS_LIMIT_REACHED",
        "A newer call displaced this call without a key. Call again after `RetryInfo`. At this code gRPC's own clients "
        "stop watching health and continue to call; after another code they would watch again immediately.",
        Code.UNIMPLEMENTED,
        Advice.RETRY,
    )
    CALLS_LIMIT_REACHED = (
        "CALLS_LIMIT_REACHED",
        "The process has as many open calls as it allows. Try again after `RetryInfo`. Operators: raise "
        "`I2V_MAX_CALLS`, or add replicas.",
        Code.RESOURCE_EXHAUSTED,
        Advice.RETRY,
    )
    UPLOADS_LIMIT_REACHED = (
        "UPLOADS_LIMIT_REACHED",
        "The process has as many open uploads as it allows. Try again after `RetryInfo`. Operators: raise "
        "`I2V_MAX_UPLOADS`, or add replicas.",
        Code.RESOURCE_EXHAUSTED,
        Advice.RETRY,
    )
    DOWNLOADS_LIMIT_REACHED = (
        "DOWNLOADS_LIMIT_REACHED",
        "The process has as many open downloads as it allows. Try again after `RetryInfo`. Operators: raise "
        "`I2V_MAX_DOWNLOADS`, or add replicas.",
        Code.RESOURCE_EXHAUSTED,
        Advice.RETRY,
    )
    LISTS_LIMIT_REACHED = (
        "LISTS_LIMIT_REACHED",
        "The process answers as many lists as it allows. Try again after `RetryInfo`. Operators: raise "
        "`I2V_MAX_LISTS`, or add replicas.",
        Code.RESOURCE_EXHAUSTED,
        Advice.RETRY,
    )
    STATEMENTS_LIMIT_REACHED = (
        "STATEMENTS_LIMIT_REACHED",
        "The process makes as many statements and sums of usage as it can. Try again after `RetryInfo`. Operators: add "
        "replicas.",
        Code.RESOURCE_EXHAUSTED,
        Advice.RETRY,
    )
    WATCHES_LIMIT_REACHED = (
        "WATCHES_LIMIT_REACHED",
        "The process has as many open watches as it allows. Try again after `RetryInfo`. Operators: raise "
        "`I2V_MAX_CALLS`, or add replicas.",
        Code.RESOURCE_EXHAUSTED,
        Advice.RETRY,
    )
    USAGE_WATCHES_LIMIT_REACHED = (
        "USAGE_WATCHES_LIMIT_REACHED",
        "The process has as many open watches of usage as it allows. Try again after `RetryInfo`. Operators: raise "
        "`I2V_MAX_USAGE_WATCHES`, or add replicas.",
        Code.RESOURCE_EXHAUSTED,
        Advice.RETRY,
    )
    TENANT_CALLS_LIMIT_REACHED = (
        "TENANT_CALLS_LIMIT_REACHED",
        "The tenant has as many open calls as it may; the metadata has the `limit`. End some, or try again after "
        "`RetryInfo`.",
        Code.RESOURCE_EXHAUSTED,
        Advice.RETRY,
    )
    TENANT_WATCHES_LIMIT_REACHED = (
        "TENANT_WATCHES_LIMIT_REACHED",
        "The tenant has as many open watches as it may; the metadata has the `limit`. End some, or try again after "
        "`RetryInfo`.",
        Code.RESOURCE_EXHAUSTED,
        Advice.RETRY,
    )
    TENANT_USAGE_WATCHES_LIMIT_REACHED = (
        "TENANT_USAGE_WATCHES_LIMIT_REACHED",
        "The tenant has as many open watches of usage as it may; the metadata has the `limit`. End some, or try again "
        "after `RetryInfo`.",
        Code.RESOURCE_EXHAUSTED,
        Advice.RETRY,
    )
    TENANT_UPLOADS_LIMIT_REACHED = (
        "TENANT_UPLOADS_LIMIT_REACHED",
        "The tenant has as many open uploads as it may; the metadata has the `limit`. End some, or try again after "
        "`RetryInfo`.",
        Code.RESOURCE_EXHAUSTED,
        Advice.RETRY,
    )
    TENANT_DOWNLOADS_LIMIT_REACHED = (
        "TENANT_DOWNLOADS_LIMIT_REACHED",
        "The tenant has as many open downloads as it may; the metadata has the `limit`. End some, or try again after "
        "`RetryInfo`.",
        Code.RESOURCE_EXHAUSTED,
        Advice.RETRY,
    )
    TENANT_STATEMENTS_LIMIT_REACHED = (
        "TENANT_STATEMENTS_LIMIT_REACHED",
        "The tenant takes as many statements and sums of usage at the same time as it may; the metadata has the "
        "`limit`. Try again after `RetryInfo`.",
        Code.RESOURCE_EXHAUSTED,
        Advice.RETRY,
    )
    TENANT_LISTS_LIMIT_REACHED = (
        "TENANT_LISTS_LIMIT_REACHED",
        "The tenant requests as many lists at the same time as it may; the metadata has the `limit`. Try again after "
        "`RetryInfo`.",
        Code.RESOURCE_EXHAUSTED,
        Advice.RETRY,
    )
