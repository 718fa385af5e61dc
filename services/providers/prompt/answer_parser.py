"""From what a language model answered to a prompt that may be sent to a vendor, or to the reason why not.

An answer is as hostile as the scene that it was made from: it is taken for text and measured, never obeyed. Keys that
were not requested are left out.
"""

import re
import unicodedata
from dataclasses import dataclass

from services import bounded_json
from services.providers.prompt.instructions import BEGIN, END, Form
from services.providers.prompt.scene import LEAST_CHARACTERS
from services.providers.prompt.template_prompt import MARKUP

ANSWER_CHARACTERS = 32_768
"""A longer text is not a prompt."""
NEGATIVE_CHARACTERS = 500
"""The least that a vendor takes."""
RUN_WORDS = 8
"""So many words of our instructions in a row are no coincidence."""
FENCE = "```"
LABEL = re.compile(r"(?:\*\*)?(?:(?:video|animation|final)\s+)?prompt(?:\*\*)?\s*:\s*(?:\*\*)?\s*", re.IGNORECASE)
QUOTES = {'"': '"', "“": "”", "«": "»", "„": "“", "'": "'"}
REFUSAL = re.compile(
    r"(i['’]?m|i am|we are|we['’]re)\s+(very\s+|really\s+|so\s+)?(sorry|afraid|unable|not able)\b"
    r"|(sorry|apologies|unfortunately)\b.{0,40}\b(can(not|['’]?t)|unable)"
    r"|i\s+(can(not|['’]?t)|won['’]?t|will not|must decline|decline)\b"
    r"|as an? (ai|artificial|language model)\b",
    re.IGNORECASE,
)
CHAT = re.compile(r"(sure|certainly|of course|absolutely|okay|here(['’]s| is| are))\b[^.]{0,60}[:!]", re.IGNORECASE)
LINK = re.compile(r"https?://|www\.", re.IGNORECASE)


class Unusable(Exception):
    """An answer cannot be used; `why` continues the words `the language model's answer`."""

    def __init__(self, why: str, *, final: bool = False) -> None:
        """`final`: asking again in another form would bring the same."""
        self.why = why
        self.final = final
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Draft:
    """A prompt out of an answer."""

    form: Form
    prompt: str
    negative_prompt: str = ""
    notes: tuple[str, ...] = ()
    """What was not as it should be, each continuing `the language model's answer`."""


def read_answer(content: str, *, max_characters: int, instructions: str, scene_text: str) -> Draft:
    """Returns the prompt in an answer, in any of its forms.

    `scene_text` is the text of the scene, which the answer may repeat.

    Raises:
        Unusable: there is no prompt in it.
    """
    if len(content) > ANSWER_CHARACTERS:
        raise Unusable(f"has {len(content)} characters")
    text = _unfenced(content.strip())
    if not text:
        raise Unusable("is empty")
    form, prompt, negative, notes = _taken_apart(text)
    prompt = _line(prompt)
    if REFUSAL.match(prompt):
        raise Unusable("is a refusal", final=True)
    if why := _wrong_signs(prompt):
        raise Unusable(why)
    if CHAT.match(prompt):
        raise Unusable("talks to the reader")
    if _repeats(prompt, instructions, scene_text):
        raise Unusable("repeats our instructions")
    if len(prompt) > max_characters:
        notes.append(f"was shortened from {len(prompt)} to at most {max_characters} characters")
        prompt = _whole_sentences(prompt, max_characters)
    if len(prompt) < LEAST_CHARACTERS:
        raise Unusable(f"has {len(prompt)} characters; {LEAST_CHARACTERS} are needed")
    negative = _line(negative)
    if negative and (why := _wrong_negative(negative, instructions, scene_text)):
        notes.append(f"had a negative prompt that {why} and was left out")
        negative = ""
    return Draft(form, prompt, negative, tuple(notes))


def _unfenced(text: str) -> str:
    """Returns what is in a code fence that is around all of the text."""
    head, _, inner = text.removeprefix(FENCE).removesuffix(FENCE).partition("\n")
    fenced = text.startswith(FENCE) and text.endswith(FENCE) and (not head.strip() or head.strip().isalnum())
    return inner.strip() if fenced else text


def _taken_apart(text: str) -> tuple[Form, str, str, list[str]]:
    if text[0] not in "{[":
        return Form.TEXT, LABEL.sub("", text, count=1) if LABEL.match(text) else text, "", []
    try:
        document = bounded_json.loads(text)
    except ValueError:
        raise Unusable("is broken JSON") from None
    if not isinstance(document, dict) or not isinstance(document.get("prompt"), str):
        raise Unusable("is JSON without a prompt")
    notes = []
    if extra := len(document.keys() - {"prompt", "negative_prompt"}):
        notes.append(f"had {extra} more keys than asked for, which were left out")
    negative = document.get("negative_prompt")
    if negative is not None and not isinstance(negative, str):
        notes.append("had a negative prompt that is no text and was left out")
        negative = ""
    return Form.JSON, document["prompt"], negative or "", notes


def _line(text: str) -> str:
    """Returns the text on one line, without the quotation marks around it."""
    line = re.sub(r"[ \t\r\n]+", " ", text).strip()
    if len(line) > 1 and QUOTES.get(line[0]) == line[-1] and line[0] not in line[1:-1] and line[-1] not in line[1:-1]:
        line = line[1:-1].strip()
    return line


def _wrong_signs(text: str) -> str:
    if any(unicodedata.category(each)[0] == "C" or each in "\u2028\u2029" for each in text):
        return "has control characters"
    if not MARKUP.isdisjoint(text):
        return "has markup"
    return "has a link" if LINK.search(text) else ""


def _wrong_negative(negative: str, instructions: str, scene_text: str) -> str:
    if len(negative) > NEGATIVE_CHARACTERS:
        return f"has {len(negative)} characters"
    return _wrong_signs(negative) or (
        "repeats our instructions" if _repeats(negative, instructions, scene_text) else ""
    )


def _repeats(text: str, instructions: str, scene_text: str) -> bool:
    """Whether a run of words of the instructions is in it that the scene does not have."""
    if BEGIN.lower() in text.lower() or END.lower() in text.lower():
        return True
    return bool(_runs(text) & (_runs(instructions) - _runs(scene_text)))


def _runs(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[at : at + RUN_WORDS]) for at in range(len(words) - RUN_WORDS + 1)}


def _whole_sentences(prompt: str, max_characters: int) -> str:
    """Returns the sentences at its beginning that have room. Raises Unusable."""
    ends = [found.end() for found in re.finditer(r"[.!?…](?=\s|$)|[。！？]", prompt) if found.end() <= max_characters]
    if not ends or ends[-1] < LEAST_CHARACTERS:
        raise Unusable(f"has {len(prompt)} characters; {max_characters} are allowed")
    return prompt[: ends[-1]]
