"""The URL of the operators' database, whose password may change while a process runs."""

from collections.abc import Callable
from contextlib import AsyncExitStack

from services.live_secret import LiveSecret
from services.orchestrator.background_task import run_in_background
from services.orchestrator.settings import Settings
from services.orchestrator.store.password_file import PasswordFile


def database_url(settings: Settings, stack: AsyncExitStack, failed: Callable[[str], None]) -> str:
    """Returns the URL. From a file, each new connection takes its newest password, until the stack is left.

    `failed` gets the name of the background task that follows the file, when it has failed.
    """
    if not settings.database_url_file:
        return settings.database_url
    passwords = PasswordFile(LiveSecret("I2V_DATABASE_URL_FILE", settings.database_url_file).text)
    stack.callback(passwords.close)
    run_in_background(stack, passwords.follow, "password", failed)
    return passwords.url
