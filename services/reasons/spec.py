"""Reasons of the fields of a job's spec."""

from services.reasons.reason import Advice, Code, Reason


class SpecReason(Reason):
    """Why a spec is not admitted."""

    MODEL_UNKNOWN = "MODEL_UNKNOWN", "Use one that the message or ListModels names."
    MODEL_RETIRED = "MODEL_RETIRED", "The vendor serves it no more. Use the successor that is named."
    CAPABILITY_UNKNOWN = "CAPABILITY_UNKNOWN", "Give a model, or a capability that ListModels names."
    MODEL_AND_CAPABILITY = "MODEL_AND_CAPABILITY", "Give a model or a capability, not both."
    PRICE_ABOVE_MOST = "PRICE_ABOVE_MOST", "Allow more: the message says what each model costs."
    MODEL_NOT_IN_PLAN = "MODEL_NOT_IN_PLAN", "Use a model that the message names, or ask for another plan."
    OPERATION_NOT_IN_PLAN = "OPERATION_NOT_IN_PLAN", "Use an operation that the message names, or ask for another plan."
    RESOLUTION_NOT_IN_PLAN = (
        "RESOLUTION_NOT_IN_PLAN",
        "Give a resolution or size that the message names, or ask for another plan. Without one, the model's default "
        "counts.",
    )
    PRICE_NOT_IN_PLAN = (
        "PRICE_NOT_IN_PLAN",
        "The plan limits the price of one job. Make a shorter or smaller video, or ask for another plan.",
    )
    PRICE_MALFORMED = "PRICE_MALFORMED", "Give an amount of 0 or more in the currency of the prices."
    OPERATION_MISSING = "OPERATION_MISSING", "Set one of the operations of `JobSpec`."
    OPERATION_UNSUPPORTED = "OPERATION_UNSUPPORTED", "Choose another operation or model."
    PARAMETER_UNSUPPORTED = (
        "PARAMETER_UNSUPPORTED",
        "The model does not have it. Leave it out, or choose another model.",
    )
    PROMPT_EMPTY = (
        "PROMPT_EMPTY",
        "Describe what happens. A prompt of only spaces, control and invisible characters counts as empty.",
    )
    PROMPT_TOO_SHORT = "PROMPT_TOO_SHORT", "Say more, or leave it out where it is optional."
    PROMPT_TOO_LONG = (
        "PROMPT_TOO_LONG",
        "Shorten it; the limit is in characters or in bytes of UTF-8, as the message says.",
    )
    PROMPT_MALFORMED = "PROMPT_MALFORMED", "Remove the NUL character, or the half of a surrogate pair."
    PROMPT_WRITER_MISSING = (
        "PROMPT_WRITER_MISSING",
        "No prompt writer is set up: give a prompt, or tell the operators. As the end of a job: its worker has none.",
        (Code.INVALID_ARGUMENT, Code.JOB_RETRYABLE),
        Advice.OPERATORS,
    )
    SCENE_EMPTY = "SCENE_EMPTY", "Say what is to be seen and what happens, or give a prompt instead."
    SCENE_TOO_LONG = (
        "SCENE_TOO_LONG",
        "The scene has at most 4,000 characters, its story 8,000, its details 16 entries.",
    )
    SCENE_AND_PROMPT = "SCENE_AND_PROMPT", "Give a scene or a prompt, not both."
    ASSET_NAME_MALFORMED = "ASSET_NAME_MALFORMED", "Upload the picture and give `assets/{sha256}`."
    ASSET_NOT_A_PICTURE = "ASSET_NOT_A_PICTURE", "Give a picture."
    ASSET_NOT_A_SOUND = "ASSET_NOT_A_SOUND", "Give a sound."
    ASSET_TOO_LARGE = "ASSET_TOO_LARGE", "The model takes smaller files; the message says how large."
    MASK_SIZE_WRONG = "MASK_SIZE_WRONG", "Give a mask of the picture's size."
    FIT_UNKNOWN = "FIT_UNKNOWN", "CROP or PAD."
    QUALITY_UNKNOWN = "QUALITY_UNKNOWN", "QUALITY, or FAST where the card offers it."
    QUALITY_UNSUPPORTED = "QUALITY_UNSUPPORTED", "Choose one of the card's qualities."
    SIZE_UNSUPPORTED = "SIZE_UNSUPPORTED", "Choose one of the card's sizes."
    RESOLUTION_UNSUPPORTED = (
        "RESOLUTION_UNSUPPORTED",
        "Choose one of the card's resolutions. Models of our own make exact sizes instead.",
    )
    DURATION_MALFORMED = "DURATION_MALFORMED", "Not a valid `Duration`."
    DURATION_UNSUPPORTED = "DURATION_UNSUPPORTED", "Choose one of the card's durations for the operation."
    TIMEOUT_OUT_OF_RANGE = "TIMEOUT_OUT_OF_RANGE", "1 second to 24 hours."
    SEED_OUT_OF_RANGE = "SEED_OUT_OF_RANGE", "0 to 2^63 - 1; of a remote model to the card's limit."
    GUIDANCE_OUT_OF_RANGE = "GUIDANCE_OUT_OF_RANGE", "0 to 1."
    AUDIO_TOO_SHORT = "AUDIO_TOO_SHORT", "The model takes longer sounds; the message says how long."
