"""What tensors are called in a file and in a library's class, both ways."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

UNKNOWN = "file:"
"""Stands before the file's name of a tensor that is not the library's, lest it be taken for one."""

LEAF = r"(\.weight|\.bias|\.gamma)?"


@dataclass(frozen=True)
class Rule:
    """A name in files and its name in the library; `#` is a number, and .weight, .bias and .gamma follow by themselves.

    A tensor that the library holds in several pieces has a rule for each.
    """

    file: str
    library: str
    take: Callable[[torch.Tensor], torch.Tensor] = lambda tensor: tensor
    """Makes the library's tensor of the file's."""


class Table:
    """The names of one kind of file; without rules they are the library's."""

    def __init__(self, rules: Sequence[Rule] = (), *, prefix: str = "", aside: Sequence[str] = ()) -> None:
        """`prefix` may stand before any name in the file; names that match `aside` whole are not wanted."""
        self._from_file = [(_pattern(rule.file), rule) for rule in rules]
        self._from_library = [(_pattern(rule.library), rule) for rule in rules]
        self._prefix = prefix
        self._aside = re.compile("|".join(aside) or "(?!)")

    def bare(self, name: str) -> str:
        """A name in the file without the prefix."""
        return name.removeprefix(self._prefix)

    def to_library(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Tensors under the library's names; what no rule knows, or is there already, is for load_into to refuse."""
        renamed: dict[str, torch.Tensor] = {}
        for given, tensor in tensors.items():
            name = self.bare(given)
            if self._aside.fullmatch(name):
                continue
            rules = [(rule, match) for pattern, rule in self._from_file if (match := pattern.fullmatch(name))]
            pieces = {_filled(rule.library, match): rule.take(tensor) for rule, match in rules}
            if not self._from_file:
                pieces = {name: tensor}
            if not pieces or pieces.keys() & renamed.keys():
                pieces = {UNKNOWN + given: tensor}
            renamed |= pieces
        return renamed

    def to_file(self, name: str) -> str:
        """What the file calls a tensor of the library, or would call it."""
        if name.startswith(UNKNOWN):
            return name.removeprefix(UNKNOWN)
        if not self._from_library:
            return self._prefix + name
        for pattern, rule in self._from_library:
            if match := pattern.fullmatch(name):
                return self._prefix + _filled(rule.file, match)
        return name


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.escape(template).replace(r"\#", r"(?P<number>\d+)") + LEAF)


def _filled(template: str, match: re.Match[str]) -> str:
    return template.replace("#", match.groupdict().get("number", "")) + (match[match.re.groups] or "")
