"""Reasons of uploads, downloads and the files in them."""

from services.reasons.reason import Advice, Code, Reason


class AssetReason(Reason):
    """Why a file is not kept, not read, or not what a model takes."""

    HEADER_MISSING = "HEADER_MISSING", "Send one header, as the first message."
    HEADER_REPEATED = "HEADER_REPEATED", "Send one header, as the first message."
    DATA_EMPTY = "DATA_EMPTY", "Leave messages without bytes out."
    MEDIA_TYPE_UNSUPPORTED = (
        "MEDIA_TYPE_UNSUPPORTED",
        "The file is no picture, sound or video, or the media type is none of `image/*`, `audio/*` and `video/*`, nor "
        "empty.",
    )
    UPLOAD_TOO_LARGE = "UPLOAD_TOO_LARGE", "Pictures to 10 MB, sounds to 50 MB, videos to 2 GB."
    SIZE_MISMATCH = "SIZE_MISMATCH", "More or fewer bytes came than the header says. Send all of it again."
    CHECKSUM_MALFORMED = "CHECKSUM_MALFORMED", "64 hexadecimal digits, or none."
    CHECKSUM_MISMATCH = "CHECKSUM_MISMATCH", "The bytes changed on their way. Send all of it again."
    CHECKSUM_WRONG = (
        "CHECKSUM_WRONG",
        "From the client: a download does not have the digest of its name, and no file was left. Download it again.",
        Code.DATA_LOSS,
        Advice.RETRY,
    )
    UPLOAD_ID_MALFORMED = "UPLOAD_ID_MALFORMED", "A UUID, with the size of the file."
    UPLOAD_ID_REUSED = (
        "UPLOAD_ID_REUSED",
        "The same upload id came with another size, checksum or media type. Use a new UUID for every new file.",
    )
    UPLOAD_OFFSET_WRONG = (
        "UPLOAD_OFFSET_WRONG",
        "Another part of the file comes next. QueryWriteStatus says which; the metadata have it as `received_bytes`.",
        Code.FAILED_PRECONDITION,
    )
    UPLOAD_INCOMPLETE = (
        "UPLOAD_INCOMPLETE",
        "The stream ended before the file did. What arrived is kept for a day: continue from `received_bytes`.",
        Code.FAILED_PRECONDITION,
    )
    UPLOAD_PART_LOST = (
        "UPLOAD_PART_LOST",
        "What had arrived of the upload is not in the blob store any more. Begin again with a new id.",
        Code.UNAVAILABLE,
        Advice.RETRY,
    )
    DIRECT_UPLOAD_UNAVAILABLE = (
        "DIRECT_UPLOAD_UNAVAILABLE",
        "The bytes are not in an S3 store that takes uploads by itself. Use WriteAsset.",
        Code.FAILED_PRECONDITION,
    )
    DIRECT_UPLOAD_MISSING = (
        "DIRECT_UPLOAD_MISSING",
        "Nothing has arrived at the address of this upload. Send the form first, and look at the store's answer.",
        Code.FAILED_PRECONDITION,
    )
    OFFSET_OUT_OF_RANGE = "OFFSET_OUT_OF_RANGE", "0 to the asset's size."
    URL_METHOD_UNSUPPORTED = "URL_METHOD_UNSUPPORTED", "A signed URL is for GET."
    URL_EXPIRY_OUT_OF_RANGE = (
        "URL_EXPIRY_OUT_OF_RANGE",
        "A URL holds for at least a second; the message says how long at most: 15 minutes, and a day for a live URL, "
        "unless the settings say otherwise.",
    )
    SIGNED_URLS_UNAVAILABLE = (
        "SIGNED_URLS_UNAVAILABLE",
        "The bytes are in a folder, and the service has no address for HTTP clients. Use ReadAsset.",
        Code.FAILED_PRECONDITION,
    )
    LIVE_UNAVAILABLE = (
        "LIVE_UNAVAILABLE",
        "The job has no fragments and gets none. Read its video when it is complete.",
        Code.FAILED_PRECONDITION,
    )
    PICTURE_FORMAT = "PICTURE_FORMAT", "Send PNG, JPEG, WebP, HEIC or AVIF; the message names what came."
    PICTURE_FILE_TOO_LARGE = "PICTURE_FILE_TOO_LARGE", "At most 10 MB."
    PICTURE_TOO_LARGE = (
        "PICTURE_TOO_LARGE",
        "At most 8192 pixels a side and 50 megapixels; of a remote model as the message says.",
    )
    PICTURE_TOO_SMALL = "PICTURE_TOO_SMALL", "At least 32 pixels a side; of a remote model as the message says."
    PICTURE_ASPECT_RATIO = "PICTURE_ASPECT_RATIO", "At most 4:1, or as the message says. Crop it."
    PICTURE_ANIMATED = "PICTURE_ANIMATED", "Send a still picture."
    PICTURE_TRUNCATED = (
        "PICTURE_TRUNCATED",
        "The upload was incomplete, or a part of its data is missing or damaged. Send it again.",
    )
    PICTURE_MALFORMED = "PICTURE_MALFORMED", "The data cannot be decoded. Save the picture again."
    PICTURE_TOO_COMPLEX = (
        "PICTURE_TOO_COMPLEX",
        "Decoding takes more than 10 s of processor time, 1 GiB or 64 scans. Send a smaller or simpler file.",
    )
    VIDEO_FORMAT = "VIDEO_FORMAT", "Send H.264 in MP4.", (Code.INVALID_ARGUMENT, Code.JOB)
    VIDEO_TOO_LARGE = "VIDEO_TOO_LARGE", "At most 8192 pixels a side.", (Code.INVALID_ARGUMENT, Code.JOB)
    VIDEO_UNREADABLE = (
        "VIDEO_UNREADABLE",
        "It is broken, or takes too much to read. As the end of a job: this is the video that was made.",
        (Code.INVALID_ARGUMENT, Code.JOB),
    )
    AUDIO_FORMAT = (
        "AUDIO_FORMAT",
        "Send MP3, WAV, Ogg, FLAC, M4A or AAC; of a remote model as the message says.",
    )
    AUDIO_TOO_LONG = "AUDIO_TOO_LONG", "At most an hour; of a remote model as the message says."
    AUDIO_UNREADABLE = "AUDIO_UNREADABLE", "It is broken, or there is nothing to hear."
