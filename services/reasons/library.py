"""Reasons of the library: what is said of assets, and how they are found."""

from services.reasons.reason import Reason


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
