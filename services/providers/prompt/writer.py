"""How a prompt comes to be: an answer in JSON, else in plain text, else the template.

The template replaces answers that cannot be used, not an unavailable language model: an account that is
used up, a key that is refused and an endpoint that is down are errors: an operator must act. Only when answers were
already paid for does an endpoint that then goes down lead to the template, so that what they cost is reported.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.errors import PreconditionFailed, QuotaExceeded, Unavailable
from services.providers.prompt.answer_parser import Draft, Unusable, read_answer
from services.providers.prompt.endpoint import RETRY_AFTER_S
from services.providers.prompt.instructions import Form, system_message, user_message
from services.providers.prompt.scene import Kind, Scene
from services.providers.prompt.template_prompt import NEGATIVE_PROMPT, from_template
from services.providers.prompt.token_cost import Bill, Price
from services.reasons import PromptReason

if TYPE_CHECKING:
    from services.providers.prompt.llm import OpenAiLlm

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Written:
    """A prompt and its history."""

    prompt: str
    negative_prompt: str
    form: Form | None
    """None: the template."""
    llm: str
    bill: Bill
    warning: str
    """One sentence, or nothing."""


class Writer:
    """Writes prompts, any number at a time."""

    def __init__(self, llm: "OpenAiLlm | None", price: Price, *, timeout_s: float) -> None:
        """Without a language model every prompt is the template's. `timeout_s` is for everything together."""
        self._llm = llm
        self._price = price
        self._timeout_s = timeout_s

    async def write(self, scene: Scene) -> Written:
        """Writes one prompt.

        Raises:
            InvalidInput: the scene cannot be taken.
            QuotaExceeded: LLM_QUOTA; `cost_micros` in the metadata is what answers before it cost, mostly 0.
            PreconditionFailed: LLM_KEY, likewise.
            Unavailable: LLM_DOWN; nothing was answered.
        """
        kind = scene.check()
        bill = Bill(self._price)
        written = await self._write(kind, scene, bill)
        log.info(
            "wrote a prompt",
            extra={
                "source": written.form.value if written.form else "template",
                "answers": bill.answers,
                "cost_micros": bill.cost_micros,
                "warning": written.warning,
            },
        )
        return written

    async def _write(self, kind: Kind, scene: Scene, bill: Bill) -> Written:
        if self._llm is None:
            return self._from_template(kind, scene, bill, "No language model is connected")
        why: list[str] = []
        try:
            async with asyncio.timeout(self._timeout_s):
                for form in Form:
                    try:
                        draft = await self._draft(self._llm, kind, scene, form, bill)
                    except Unusable as unusable:
                        if unusable.why not in why:
                            why.append(unusable.why)
                        if unusable.final:
                            break
                    else:
                        return self._from_draft(draft, bill, self._llm.model)
        except (Unavailable, TimeoutError) as error:
            if not bill.answers:
                raise _late(self._llm.model) if isinstance(error, TimeoutError) else error from None
            why.append("was followed by none")
        except (QuotaExceeded, PreconditionFailed) as error:
            error.metadata |= {"cost_micros": str(bill.cost_micros), "currency_code": bill.price.currency_code}
            raise
        reason = f"The language model's answer {', then '.join(why)}"
        return self._from_template(kind, scene, bill, reason, self._llm.model)

    async def _draft(self, llm: "OpenAiLlm", kind: Kind, scene: Scene, form: Form, bill: Bill) -> Draft:
        instructions = system_message(kind, form, scene.max_characters)
        answer = await llm.ask(instructions, user_message(scene), form)
        bill.add(answer.usage, answer.most)
        if answer.problem is not None:
            raise answer.problem
        scene_text = "\n".join((scene.scene, scene.story, *scene.details, *scene.details.values()))
        draft = read_answer(
            answer.content, max_characters=scene.max_characters, instructions=instructions, scene_text=scene_text
        )
        if llm.is_given_away(f"{draft.prompt}\n{draft.negative_prompt}"):
            raise Unusable("holds a secret", final=True)
        return draft

    def _from_draft(self, draft: Draft, bill: Bill, llm: str) -> Written:
        warning = f"The language model's answer {' and '.join(draft.notes)}" if draft.notes else ""
        return Written(draft.prompt, draft.negative_prompt, draft.form, llm, bill, _sentence(warning, bill))

    def _from_template(self, kind: Kind, scene: Scene, bill: Bill, reason: str, llm: str = "") -> Written:
        warning = _sentence(f"{reason}: a template wrote the prompt", bill)
        return Written(from_template(kind, scene), NEGATIVE_PROMPT, None, llm, bill, warning)


def _sentence(warning: str, bill: Bill) -> str:
    if bill.guessed:
        begin = f"{warning}; the" if warning else "The"
        warning = f"{begin} language model did not count its tokens, and the cost is the most that it can be"
    return f"{warning}." if warning else ""


def _late(model: str) -> Unavailable:
    message = f"The language model {model} did not answer in time. Try again."
    return Unavailable(message, retry_after_s=RETRY_AFTER_S, reason=PromptReason.LLM_DOWN)
