"""How a person sees a job while it runs: lines or a bar, the frames in the terminal, or a player. Its options."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from i2v_client import AsyncClient
from services.client.fragment_feed import FragmentFeed, Viewer
from services.client.pictures import detection, player
from services.client.pictures.graphics import Graphics, Style
from services.client.pictures.moving_picture import MovingPicture
from services.client.pictures.panel import Panel
from services.client.pictures.player import Player
from services.client.progress_display import Display, display
from services.client.terminal import say

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class View:
    """What was asked for."""

    json: bool = False
    style: Style | None = None
    """How the terminal shows frames; None: no frames."""
    play: player.Command | None = None
    """The player; None: none."""

    @asynccontextmanager
    async def opened(self, client: AsyncClient) -> AsyncIterator[tuple[Display, FragmentFeed]]:
        """Yields what shows the events of a job, and what takes its fragments. Waits until both are shown."""
        with display(json=self.json) if self.style is None else Panel(self.style) as shown:
            viewers: list[Viewer] = [MovingPicture(shown.show)] if isinstance(shown, Panel) else []
            viewers += [Player(self.play, report=shown.say)] if self.play else []
            async with FragmentFeed(client, viewers, report=shown.say) as feed:
                yield shown, feed


def with_view_options(function: Command) -> Command:
    """Adds the options for what is seen while a job runs."""
    options = (
        click.option("--preview", is_flag=True, help="Shows the frames in the terminal while they are made."),
        click.option(
            "--graphics",
            type=click.Choice([each.value for each in Graphics]),
            help="How the frames are shown; implies --preview. Default: the best that the terminal can.",
        ),
        click.option("--play", is_flag=True, help="Plays the video while it is made, in ffplay, mpv or vlc."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def view(*, preview: bool, graphics: str | None, play: bool, json: bool) -> View:
    """Returns the view that the options describe. Says if the terminal shows no frames. Raises player.NoPlayer."""
    asked = (preview or graphics is not None) and not json
    style = detection.style(Graphics(graphics) if graphics else None) if asked else None
    if asked and style is None:
        say("stderr is no terminal that shows pictures, so there is no preview.", err=True)
    return View(json, style, player.found() if play else None)
