"""Whether a journal is that of the server and the user that are called now."""

from i2v_client.errors import NotFound
from services.client.batch.journal import Journal
from services.client.batch.row import BadInput
from services.client.batch.service import Service


async def demand_same_server(journal: Journal, service: Service, server: str, user: str) -> None:
    """Raises BadInput if the journal is of another server or user: what was paid for there would be paid again here.

    The address may change, because a job of the journal shows that it is the same service. As long as the answer of a
    submission is unknown, it may not. Raises I2VError.
    """
    was = f"{journal.meta('user', user)} at {journal.meta('server', server)}"
    now = f"{user} at {server}"
    if was != now and journal.unanswered():
        raise BadInput(
            f"the journal has submissions of {was} without an answer; finish them there (--server, --user), or name "
            "another folder"
        )
    newest = journal.newest_job()
    if newest is not None:
        name, request_id = newest
        try:
            same = (await service.get(name)).request_id == request_id
        except NotFound:
            same = False
        if not same:
            raise BadInput(
                f"the journal is of another server, key or user: {now} does not have its {name}. It was {was}. Name "
                "another folder, or call the same as before"
            )
    journal.note("server", server)
    journal.note("user", user)
