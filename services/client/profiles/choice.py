"""The profile that a command uses: the one that is named, else the file's default.

An option wins over the environment, which wins over the profile, which wins over the built-in default.
"""

from dataclasses import dataclass, field
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from services.client.profiles import configuration_file
from services.client.profiles.configuration_file import UnusableConfiguration
from services.client.profiles.profile import FIRST, NAME, Profile

NEEDS_NO_FILE = {"completion"}
NEEDS_NO_PROFILE = {"completion", "login", "profiles"}


@dataclass(frozen=True, slots=True)
class Choice:
    """A profile that was chosen."""

    name: str = FIRST
    profile: Profile = field(default_factory=Profile)
    problem: UnusableConfiguration | None = None
    """Why there is none."""
    unknown: bool = False
    """Whether the file does not have a profile that was named."""

    def check(self, command: str | None) -> None:
        """Raises UnusableConfiguration if this command needs what is missing."""
        needless = NEEDS_NO_PROFILE if self.unknown else NEEDS_NO_FILE
        if self.problem is not None and command not in needless:
            raise self.problem


def chosen(named: str | None) -> Choice:
    """Reads the file and chooses."""
    try:
        found = configuration_file.read()
    except UnusableConfiguration as error:
        return Choice(named or FIRST, problem=error)
    name = named or found.default_profile
    if profile := found.profiles.get(name):
        return Choice(name, profile)
    if named or name != FIRST:
        known = f"Known are {', '.join(found.profiles)}" if found.profiles else f"`i2v --profile {name} login` makes it"
        return Choice(name, problem=UnusableConfiguration(f"There is no profile {name}. {known}."), unknown=True)
    return Choice(name)


def choose(context: click.Context, parameter: click.Parameter, named: str | None) -> Choice:
    """Chooses before the other options are read, and gives them the profile's values as defaults."""
    if named and not NAME.fullmatch(named):
        raise click.BadParameter("1 to 64 of A-Z, a-z, 0-9, - and _")
    choice = chosen(named)
    folder = (configuration_file.path() or Path()).parent
    context.default_map = {**(context.default_map or {}), **choice.profile.defaults(folder)}
    return choice


def complete_profiles(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completes the name of a profile."""
    try:
        found = configuration_file.read().profiles
    except UnusableConfiguration:
        return []
    return [
        CompletionItem(name, help=each.server or None) for name, each in found.items() if name.startswith(incomplete)
    ]
