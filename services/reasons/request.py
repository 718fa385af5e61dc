"""Reasons of requests about jobs, lists and paid calls, apart from the fields of a spec."""

from services.reasons.reason import Advice, Code, Reason


class RequestReason(Reason):
    """Why a method refuses a request."""

    INVALID_INPUT = "INVALID_INPUT", "Something is wrong with the request; each field has a reason of its own."
    INVALID_VALUE = "INVALID_VALUE", "The value of the field; its description says what is allowed."
    TEXT_MALFORMED = (
        "TEXT_MALFORMED",
        "Remove the NUL character, or the half of a surrogate pair. Every text of every request is checked. The prompt "
        "writer refuses all control characters except line breaks and tabs.",
    )
    TEXT_TOO_LONG = (
        "TEXT_TOO_LONG",
        "No text is longer than 32,000 bytes of UTF-8; most fields take less, as the message says.",
    )
    FILTER_MALFORMED = "FILTER_MALFORMED", "The message names the place. Put quotation marks around texts with spaces."
    NAME_MALFORMED = "NAME_MALFORMED", "Give a resource name such as `jobs/…`."
    NOT_FOUND = (
        "NOT_FOUND",
        "The job, asset, picture, model or health service does not exist for this user. Check the name and the user; "
        "upload the picture. In a batch with other wrong fields it is the reason of a field. As the end of a job: its "
        "picture has gone.",
        (Code.NOT_FOUND, Code.INVALID_ARGUMENT, Code.JOB),
    )
    REQUEST_ID_MALFORMED = "REQUEST_ID_MALFORMED", "Give a UUID."
    REQUEST_ID_REUSED = (
        "REQUEST_ID_REUSED",
        "The id belongs to another spec. Use a new UUID. The metadata name the first job.",
        Code.ALREADY_EXISTS,
    )
    REQUEST_ID_DUPLICATE = "REQUEST_ID_DUPLICATE", "Two jobs of the batch have it. Give each a UUID of its own."
    BATCH_SIZE_OUT_OF_RANGE = "BATCH_SIZE_OUT_OF_RANGE", "A batch has 1 to 100 jobs."
    BATCH_TOO_LARGE = "BATCH_TOO_LARGE", "A batch has at most 1 MiB. Split it."
    BATCH_MODE_UNKNOWN = "BATCH_MODE_UNKNOWN", "Give ALL_OR_NOTHING or EACH."
    QUOTE_MALFORMED = (
        "QUOTE_MALFORMED",
        "The token does not come from a preview of this service, or was changed. Preview the job again.",
        Code.FAILED_PRECONDITION,
    )
    QUOTE_FOREIGN = (
        "QUOTE_FOREIGN",
        "The token is for another spec, user or tenant. Preview this job.",
        Code.FAILED_PRECONDITION,
    )
    QUOTE_EXPIRED = (
        "QUOTE_EXPIRED",
        "The token held for some minutes. Preview the job again; the metadata have the price of now.",
        Code.FAILED_PRECONDITION,
    )
    QUOTE_STALE = (
        "QUOTE_STALE",
        "The prices have changed since the preview. Preview the job again; the metadata have the price of now.",
        Code.FAILED_PRECONDITION,
    )
    BACKEND_DRAINED = (
        "BACKEND_DRAINED",
        "Operators have stopped the model's workers for maintenance; the metadata has `model`. Repeat after "
        "`RetryInfo`, or take another model.",
        Code.UNAVAILABLE,
        Advice.RETRY,
    )
    PAGE_SIZE_OUT_OF_RANGE = "PAGE_SIZE_OUT_OF_RANGE", "1 to 200."
    PAGE_TOKEN_MALFORMED = "PAGE_TOKEN_MALFORMED", "Begin again without a token."
    PLANS_FILE_TOO_LARGE = "PLANS_FILE_TOO_LARGE", "A file of plans has at most 256 KiB."
    STATE_UNKNOWN = "STATE_UNKNOWN", "Give a `Job.State`, or none."
    SEQUENCE_OUT_OF_RANGE = "SEQUENCE_OUT_OF_RANGE", "0 or more."
    TENANT_BUDGET_EXCEEDED = (
        "TENANT_BUDGET_EXCEEDED",
        "Wait until the tenant's budget resets (`RetryInfo`), cancel what is queued, or ask for another plan.",
        Code.RESOURCE_EXHAUSTED,
        Advice.RETRY,
    )
    USER_BUDGET_EXCEEDED = (
        "USER_BUDGET_EXCEEDED",
        "Wait until the user's budget resets (`RetryInfo`), cancel what is queued, or ask for another plan.",
        Code.RESOURCE_EXHAUSTED,
        Advice.RETRY,
    )
    TENANT_ACTIVE_JOBS_EXCEEDED = (
        "TENANT_ACTIVE_JOBS_EXCEEDED",
        "Wait until a job of the tenant ends, or cancel one.",
        Code.RESOURCE_EXHAUSTED,
        Advice.RETRY,
    )
    USER_ACTIVE_JOBS_EXCEEDED = (
        "USER_ACTIVE_JOBS_EXCEEDED",
        "Wait until a job of the user ends, or cancel one.",
        Code.RESOURCE_EXHAUSTED,
        Advice.RETRY,
    )
    LIMIT_EXCEEDED = (
        "LIMIT_EXCEEDED",
        "A limit of the plan; `QuotaFailure` names it. Wait for the end of its period, or ask for another plan.",
        Code.RESOURCE_EXHAUSTED,
        Advice.RETRY,
    )
    BUDGET_CONTENDED = (
        "BUDGET_CONTENDED",
        "A limit changed during the admission. Repeat.",
        Code.UNAVAILABLE,
        Advice.RETRY,
    )
    QUEUE_LIMIT_REACHED = (
        "QUEUE_LIMIT_REACHED",
        "Too many jobs of all callers wait for this model's workers, or for all workers. Repeat after `RetryInfo`; the "
        "metadata have the `limit` and the `expected_wait_s`. Operators: see [Queues](operations.md#queues).",
        Code.RESOURCE_EXHAUSTED,
        Advice.RETRY,
    )
    DEADLINE_UNREACHABLE = (
        "DEADLINE_UNREACHABLE",
        "So many jobs wait that the job cannot end within its `timeout`, or start within its `start_timeout`. Give it "
        "more time, or submit it later; the metadata have the `expected_start_time` and the `expected_end_time`.",
        Code.FAILED_PRECONDITION,
    )
    JOB_CHANGED = (
        "JOB_CHANGED",
        "Another resume of the job has just ended. Look at it, or repeat.",
        Code.UNAVAILABLE,
        Advice.RETRY,
    )
    JOB_UNFINISHED = (
        "JOB_UNFINISHED",
        "Only a job that has ended is deleted; the metadata have its `state`. Cancel it or wait, or use `stop`. One "
        "whose paid call has an unknown outcome cannot be stopped: wait for its end.",
        Code.FAILED_PRECONDITION,
    )
    NOT_RESUMABLE = (
        "NOT_RESUMABLE",
        "Nothing was paid for the job that could still bring its video. Submit a new job.",
        Code.FAILED_PRECONDITION,
    )
    NOT_RECONCILING = (
        "NOT_RECONCILING",
        "What became of the job's paid call is known. There is nothing to settle.",
        Code.FAILED_PRECONDITION,
    )
    NOT_REFUNDABLE = (
        "NOT_REFUNDABLE",
        "The job was not charged for a task that brought no video, or a resume fetches that video, or has it.",
        Code.FAILED_PRECONDITION,
    )
    REFERENCE_MALFORMED = "REFERENCE_MALFORMED", "Give the vendor's own name of the task."
    REFERENCE_TAKEN = (
        "REFERENCE_TAKEN",
        "Another job has that task, and the message names it. Attach this job's own task, or release or charge the "
        "job. In `Reconciling`, or as the end of a job: the vendor named a task that another job has; see "
        "[Reconciling](operations.md#vendors).",
        (Code.FAILED_PRECONDITION, Code.EVENT, Code.JOB),
        Advice.OPERATORS,
    )
    NO_OLD_STORE = (
        "NO_OLD_STORE",
        "The server knows one store of blobs, so there is nothing to copy. Set `I2V_BLOBS_OLD` first: see "
        "[Moving to another store](operations.md#moving-to-another-store).",
        Code.FAILED_PRECONDITION,
    )
    ORIGIN_MALFORMED = "ORIGIN_MALFORMED", "Give origins such as `https://app.example.com`, or `*`; 20 at most."
