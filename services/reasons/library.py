"""Reasons of the library: what is said of assets, and how they are found."""

from services.reasons.reason import Advice, Code, Reason


class LibraryReason(Reason):
    """Why the library does not take or do something."""

    LIBRARY_TEXT_MALFORMED = (
        "LIBRARY_TEXT_MALFORMED",
        "A title of at most 500, a description of at most 10,000, a source module of at most 100 characters, without "
        "control characters and marks of direction.",
    )
    TAGS_TOO_MANY = "TAGS_TOO_MANY", "At most 50 tags."
    TAG_MALFORMED = (
        "TAG_MALFORMED",
        "1 to 100 characters, without control characters and marks of direction, without spaces at the ends, and each "
        "tag once.",
    )
    CUSTOM_METADATA_MALFORMED = "CUSTOM_METADATA_MALFORMED", "A JSON object of at most 8 KiB and 8 levels."
    RENDITION_UNKNOWN = "RENDITION_UNKNOWN", "No variant has this name. The message lists those of the asset."
    RENDITION_UNSUPPORTED = (
        "RENDITION_UNSUPPORTED",
        "Assets of this type have no such variant. The message lists those that it has.",
    )
    RENDITION_FAILED = (
        "RENDITION_FAILED",
        "The variant cannot be made from this file, as the message says. The asset itself can be read. It is tried "
        "again after 10 minutes.",
        Code.FAILED_PRECONDITION,
        Advice.NONE,
    )
    ETAG_OUTDATED = (
        "ETAG_OUTDATED",
        "Someone else changed it meanwhile. Read it again, and repeat the change.",
        Code.ABORTED,
    )
    ETAG_MALFORMED = "ETAG_MALFORMED", "Give the `etag` as it was returned, or none."
    ORDER_UNKNOWN = (
        "ORDER_UNKNOWN",
        "One of `create_time`, `update_time`, `cost`, `size`, `title` and, with a query, `relevance`; then `asc` or "
        "`desc`.",
    )
    QUERY_TOO_LONG = "QUERY_TOO_LONG", "At most 1,000 characters."
    DISTANCE_OUT_OF_RANGE = "DISTANCE_OUT_OF_RANGE", "0 to 32 bits."
    NOT_COMPARABLE = (
        "NOT_COMPARABLE",
        "It has no perceptual hash: it is a sound, or its picture was not read yet.",
        Code.FAILED_PRECONDITION,
    )
    FIELD_MASK_MALFORMED = "FIELD_MASK_MALFORMED", "Name the fields to change; the message says which can be named."
    RATING_OUT_OF_RANGE = "RATING_OUT_OF_RANGE", "1 to 5; 0 removes the rating."
    ASSET_IN_USE = (
        "ASSET_IN_USE",
        "An unfinished job uses the asset, so it cannot be deleted for good. Move it to the trash, or wait.",
        Code.FAILED_PRECONDITION,
    )
    ASSET_ON_HOLD = (
        "ASSET_ON_HOLD",
        "The tenant is under a legal hold, so nothing of it is deleted for good. The trash keeps it.",
        Code.FAILED_PRECONDITION,
    )
    BYTES_BEING_REMOVED = (
        "BYTES_BEING_REMOVED",
        "The same bytes were deleted, and are just being removed. Repeat after `RetryInfo`.",
        Code.UNAVAILABLE,
        Advice.RETRY,
    )
    COLLECTIONS_TOO_MANY = (
        "COLLECTIONS_TOO_MANY",
        "A user has at most 1,000 collections. Delete one.",
        Code.FAILED_PRECONDITION,
    )
    COLLECTION_FULL = (
        "COLLECTION_FULL",
        "A collection has at most 5,000 assets. None was added: make another one, or remove some.",
        Code.FAILED_PRECONDITION,
    )
    SHARES_TOO_MANY = (
        "SHARES_TOO_MANY",
        "A user has at most 1,000 open shares. Revoke some.",
        Code.FAILED_PRECONDITION,
    )
    SHARE_TARGET_MALFORMED = "SHARE_TARGET_MALFORMED", "A share is of one asset or of one collection."
    SHARE_EXPIRY_OUT_OF_RANGE = (
        "SHARE_EXPIRY_OUT_OF_RANGE",
        "A share holds for at least a second, and for at most 90 days unless the service is set otherwise.",
    )
    PASS_PHRASE_MALFORMED = "PASS_PHRASE_MALFORMED", "8 to 200 characters, or none."
    PASS_PHRASE_NEEDED = (
        "PASS_PHRASE_NEEDED",
        "The share has a pass phrase. Call UnlockShared with it, and send the `unlock` that it returns.",
        Code.PERMISSION_DENIED,
    )
    PASS_PHRASE_WRONG = (
        "PASS_PHRASE_WRONG",
        "It is not the pass phrase of this share, or the share has none.",
        Code.PERMISSION_DENIED,
    )
    PASS_PHRASE_ATTEMPTS = (
        "PASS_PHRASE_ATTEMPTS",
        "Ten wrong pass phrases in a row; one more may be tried every 30 seconds. Repeat after `RetryInfo`.",
        Code.RESOURCE_EXHAUSTED,
        Advice.RETRY,
    )
    PASS_PHRASES_BUSY = (
        "PASS_PHRASES_BUSY",
        "Too many pass phrases are checked now in this process. Repeat after `RetryInfo`.",
        Code.UNAVAILABLE,
        Advice.RETRY,
    )
    NAMES_TOO_MANY = "NAMES_TOO_MANY", "1 to 1,000 assets in one call."
    SELECTION_MALFORMED = "SELECTION_MALFORMED", "Either names of assets or a filter, not both."
    SELECTION_TOO_LARGE = (
        "SELECTION_TOO_LARGE",
        "The filter selects more than 1,000 assets. Narrow it, such as by `create_time`, and repeat the call.",
        Code.FAILED_PRECONDITION,
    )
    SEARCH_TOO_LARGE = (
        "SEARCH_TOO_LARGE",
        "A search, statistics, or a change by filter took more than 5 seconds, because it reads too many assets. "
        "Nothing was changed. Narrow it, such as by `type` or `create_time`, or choose another order than `relevance`.",
        Code.FAILED_PRECONDITION,
    )
    CHANGE_MISSING = "CHANGE_MISSING", "Name at least one change: tags, `favorite`, `rating` or `source_module`."
    EXPORT_MALFORMED = (
        "EXPORT_MALFORMED",
        "A file of the export is not what the format says: no JSON, a key twice, NaN, half of a surrogate pair, too "
        "deep, an unknown field. Export again.",
    )
    EXPORT_VERSION_UNKNOWN = "EXPORT_VERSION_UNKNOWN", "The export has a format of another version. Use a newer `i2v`."
    EXPORT_INCOMPLETE = (
        "EXPORT_INCOMPLETE",
        "Something that the export names is missing, or the export has not ended. Export again into the same folder: "
        "it continues.",
    )
    EXPORT_ALTERED = "EXPORT_ALTERED", "A file or a count is another one than when it was exported. Export it again."
    EXPORT_ADDITIONAL = "EXPORT_ADDITIONAL", "The export does not name this file. Remove it, or export again."
    EXPORT_UNSAFE = (
        "EXPORT_UNSAFE",
        "A link, a device, a name that leaves the folder, a name twice, an encrypted part. Do not trust this export.",
    )
    EXPORT_TOO_LARGE = (
        "EXPORT_TOO_LARGE",
        "A line, a file or an archive is beyond the limits, or expands beyond any real export. Unpack a large archive "
        "yourself, and name the folder.",
    )
