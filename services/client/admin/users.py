"""`i2v admin users`: deletes end users with all that belongs to them."""

import asyncio
import uuid
from typing import Any

import click
from i2v.admin.v1 import user_pb2, user_pb2_grpc

from i2v_client import AsyncClient
from services.client import formatting
from services.client.admin.group import TENANT, admin
from services.client.commands import command
from services.client.connection import Connection
from services.client.listing import pages, show
from services.client.terminal import say

LOOK_S = 1.0
"""Seconds between two looks at a deletion."""
HEAD = ("DELETION", "USER", "STATE", "WAITS FOR", "PSEUDONYM", "BEGAN", "ERASED", "DONE")
STATES = user_pb2.UserDeletion.State
OBSTACLES = user_pb2.UserDeletion.Obstacle


@admin.group()
def users() -> None:
    """Deletes end users of a tenant. A tenant's admin may do so too."""


def _stub(client: AsyncClient) -> Any:
    return user_pb2_grpc.UserServiceStub(client.channel())


def _word(enum: Any, value: int) -> str:
    return str(enum.Name(value)).lower().replace("_", "-") if value else ""


def _row(deletion: user_pb2.UserDeletion) -> tuple[str, ...]:
    times = (deletion.create_time, deletion.erase_time, deletion.end_time)
    return (
        deletion.name.rpartition("/")[2],
        deletion.user,
        _word(STATES, deletion.state),
        _word(OBSTACLES, deletion.obstacle),
        deletion.pseudonym,
        *map(formatting.moment, times),
    )


def _holdings(holdings: user_pb2.UserHoldings) -> list[str]:
    return formatting.columns(
        [
            ("library entries", str(holdings.entries)),
            ("bytes", str(holdings.size_bytes)),
            ("jobs", f"{holdings.jobs}, {holdings.unfinished_jobs} of them have not ended"),
            ("collections", str(holdings.collections)),
            ("shares", str(holdings.shares)),
            ("uploads in parts", str(holdings.uploads)),
            ("ledger entries", f"{holdings.bookings}; they stay, under a pseudonym"),
        ]
    )


@command("rm", users)
@TENANT
@click.argument("user")
@click.option("--reason", default="", help="Why; operators give one, except with --dry-run. Do not name the user.")
@click.option("--request-id", default="", help="A UUID, to repeat the command safely. Default: a new one.")
@click.option("--dry-run", is_flag=True, help="Only count what the user has; delete nothing.")
@click.option("--wait", is_flag=True, help="Wait until nothing of the user is readable. The bytes go a day later.")
def rm(connection: Connection, tenant: str, user: str, reason: str, request_id: str, dry_run: bool, wait: bool) -> None:
    """Deletes a user with all jobs, assets, collections, shares and limits. It cannot be undone."""
    request = user_pb2.DeleteUserRequest(tenant=tenant, user=user, reason=reason, dry_run=dry_run)
    if not dry_run:
        request.request_id = request_id or str(uuid.uuid4())

    async def work(client: AsyncClient) -> None:
        answer = await client.call(_stub(client).DeleteUser, request)
        if dry_run:
            say(*([formatting.as_json(answer)] if connection.json else _holdings(answer.found)))
            if answer.found.legal_hold:
                say("The tenant is under a legal hold: the deletion would be refused until it is cleared.", err=True)
            say("Nothing was deleted.", err=True)
            return
        deletion = answer.deletion
        if wait:
            deletion = await _erased(client, deletion)
        show(connection, [deletion], HEAD, _row, "")

    connection.run(work)


async def _erased(client: AsyncClient, deletion: user_pb2.UserDeletion) -> user_pb2.UserDeletion:
    """Waits until everything of the user is erased; says what it waits for."""
    said = user_pb2.UserDeletion.OBSTACLE_UNSPECIFIED
    while deletion.state == user_pb2.UserDeletion.DELETING:
        if deletion.obstacle != said and deletion.obstacle:
            say(f"It waits for: {_word(OBSTACLES, deletion.obstacle)}.", err=True)
        said = deletion.obstacle
        await asyncio.sleep(LOOK_S)
        request = user_pb2.GetUserDeletionRequest(name=deletion.name)
        deletion = await client.call(_stub(client).GetUserDeletion, request)
    return deletion


@command("deletions", users)
@TENANT
def deletions(connection: Connection, tenant: str) -> None:
    """Lists the deletions of a tenant's users, the newest first, and how far they are."""

    async def work(client: AsyncClient) -> None:
        request = user_pb2.ListUserDeletionsRequest(tenant=tenant, page_size=200)
        found = await pages(client, _stub(client).ListUserDeletions, request, "deletions")
        show(connection, found, HEAD, _row, "No user was deleted.")

    connection.run(work)
