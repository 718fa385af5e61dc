"""The steps of sections of the documentation whose commands are run in order, in one shell, with what they print."""

import re
from dataclasses import dataclass

HEADING = re.compile(r"^## .*, step by step\n", re.MULTILINE)
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"# exit code (\d+)\s*$")


@dataclass(frozen=True, slots=True)
class Step:
    """One block of commands."""

    commands: str
    printed: tuple[str, ...]
    """Parts of the output, in order."""

    @property
    def code(self) -> int:
        """The exit code of the last command, as its comment says."""
        found = CODE.search(self.commands)
        return int(found[1]) if found else 0

    def missing(self, output: str) -> str:
        """Returns the first part that the output does not have after the parts before it; empty if it has all."""
        at = 0
        for line in self.printed:
            for part in line.split("…"):
                at = output.find(part.strip(), at)
                if at < 0:
                    return line
        return ""


def steps(text: str) -> list[Step]:
    """Returns the steps of a page. A block of text belongs to the commands before it."""
    found: list[Step] = []
    for language, block in BLOCK.findall("".join(_sections(text))):
        if language == "sh":
            found.append(Step(block, ()))
        else:
            found[-1] = Step(found[-1].commands, tuple(block.splitlines()))
    return found


def without_steps(text: str) -> str:
    """Returns a page without its sections of steps."""
    for section in _sections(text):
        text = text.replace(section, "")
    return text


def _sections(text: str) -> list[str]:
    ends = re.compile(r"^## ", re.MULTILINE)
    return [each[0] + ends.split(text[each.end() :], maxsplit=1)[0] for each in HEADING.finditer(text)]


def script(found: list[Step]) -> str:
    """Returns a program for a shell that writes each step's output to `NUMBER.out` and exit code to `NUMBER.code`."""
    return "\n".join(
        f"{{\n{step.commands}\n}} > {number}.out 2>&1\necho $? > {number}.code" for number, step in enumerate(found)
    )
