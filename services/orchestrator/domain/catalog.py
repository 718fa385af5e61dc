"""The catalog: every model card by id."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from services.errors import InvalidSpec, NotFound, Violation
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.card_parser import card_of
from services.orchestrator.domain.spec import Spec
from services.orchestrator.domain.toml_file import Problem, UnusableTables
from services.reasons import SpecReason


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every model card, by id."""

    cards: Mapping[str, ModelCard]
    prompt_most_micros: int | None = None
    """What the writing of a prompt may cost, reserved in addition to the video's price. None: no prompt writer."""

    def allowance(self, spec: Spec) -> int:
        """Returns what is set aside for the writing of a spec's prompt, in micros."""
        return (self.prompt_most_micros or 0) if spec.written else 0

    def unwritable(self, spec: Spec) -> list[Violation]:
        """Returns the violation of a spec that needs a prompt writer where there is none; empty otherwise."""
        if not spec.written or self.prompt_most_micros is not None:
            return []
        at = "spec." + spec.operation.kind.replace("-", "_")
        return [
            Violation(f"{at}.scene", "needs a prompt writer, and none is set up here", SpecReason.PROMPT_WRITER_MISSING)
        ]

    def __iter__(self) -> Iterator[ModelCard]:
        return iter(sorted(self.cards.values(), key=lambda card: card.id))

    def card(self, model: str) -> ModelCard:
        """Returns a card. Raises NotFound."""
        if model not in self.cards:
            raise NotFound("model", model)
        return self.cards[model]

    def card_for(self, spec: Spec) -> ModelCard:
        """Returns the card of a spec's model. Raises InvalidSpec, naming the models that there are."""
        if spec.model not in self.cards:
            known = ", ".join(sorted(self.cards))
            what = f"is {spec.model!r}; there are {known}" if spec.model else f"is missing; there are {known}"
            raise InvalidSpec(
                [Violation("spec.model", what, SpecReason.MODEL_UNKNOWN)], reason=SpecReason.MODEL_UNKNOWN
            )
        return self.cards[spec.model]

    @classmethod
    def from_toml(cls, parsed: Mapping[str, Any]) -> "Catalog":
        """Builds the catalog from the tables of `models.toml`.

        Raises UnusableTables: it names every malformed card, its key and what that is.
        """
        problems: list[Problem] = [
            Problem((name,), f"there is no table {name!r}; the cards are in `models`")
            for name in sorted(set(parsed) - {"models"})
        ]
        models = parsed.get("models")
        cards: dict[str, ModelCard] = {}
        if not isinstance(models, dict):
            models = {}
            problems.append(Problem(("models",), "`models` holds a table for each card, and is missing or no table"))
        for model, table in models.items():
            try:
                cards[model] = card_of(model, table)
            except UnusableTables as error:
                problems += error.problems
        if problems:
            raise UnusableTables(problems)
        return cls(cards)


def successor_problems(cards: Mapping[str, ModelCard], known: Container[str]) -> list[Problem]:
    """Returns the cards whose successor is not known; it may be in another file."""
    return [
        Problem(
            ("models", each.id, "remote", "successor"),
            f"the card {each.id!r} has the successor {each.remote.successor!r}, which is no card",
        )
        for each in cards.values()
        if each.remote and each.remote.successor and each.remote.successor not in known
    ]
