"""What Sessions and Credentials keep of sessions, on a real PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from services.errors import PreconditionFailed
from services.orchestrator.api.authentication import digest
from services.orchestrator.domain.api_key import ApiKey, Scope
from services.orchestrator.domain.session import LASTS, MOST, MOST_OF_TENANT, TICKET_LASTS, Session, expire_time
from services.orchestrator.domain.user_deletion import UserDeletion
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.schema import sessions
from services.orchestrator.store.table_metadata import TIME
from services.reasons import RetentionReason
from tests.support.builders import NOON
from tests.support.webhooks import an_act

KEY = ApiKey("sessionkey", "studio", "web", create_time=NOON)
SESSION = Session(
    tenant="studio",
    user="ann",
    key="",
    scopes=frozenset({Scope.READ, Scope.TENANT_ADMIN}),
    create_time=NOON,
    expire_time=NOON + LASTS,
)
WAITS = replace(SESSION, ticket_expire_time=NOON + TICKET_LASTS)


async def put(store: PostgresStore, token: str, session: Session = SESSION) -> None:
    await store.sessions.create(session, digest(token))


async def found(store: PostgresStore, token: str) -> Session | None:
    access = await store.credentials.of_session(digest(token))
    return None if access is None else access.session


def test_a_session_ends_with_the_credential_that_began_it_or_after_twelve_hours() -> None:
    assert expire_time(NOON, None) == expire_time(NOON, NOON + timedelta(days=1)) == NOON + timedelta(hours=12)
    assert expire_time(NOON, NOON + timedelta(hours=1)) == NOON + timedelta(hours=1)


async def test_a_session_is_found_by_its_digest_with_its_key_and_tenant(store: PostgresStore) -> None:
    await store.api_keys.create(KEY, digest("a key"), an_act("CreateKey"))
    await put(store, "of a key", replace(SESSION, key=KEY.id))
    await put(store, "of a jwt")
    access = await store.credentials.of_session(digest("of a key"))
    assert access is not None and access.session == replace(SESSION, key=KEY.id)
    assert (access.access.key, access.access.tenant.id) == (KEY, "studio")
    of_token = await store.credentials.of_session(digest("of a jwt"))
    assert of_token is not None and of_token.access.key is None
    assert await found(store, "another") is None


async def test_of_many_calls_at_a_time_one_begins_the_session_of_a_ticket(store: PostgresStore) -> None:
    await put(store, "ticket", WAITS)
    begun = await asyncio.gather(
        *(store.sessions.begin(digest("ticket"), digest(f"token {number}"), NOON) for number in range(20))
    )
    assert [each for each in begun if each is not None] == [SESSION]
    assert await found(store, "ticket") is None
    tokens = [await found(store, f"token {number}") for number in range(20)]
    assert [each for each in tokens if each is not None] == [SESSION]


@pytest.mark.parametrize("now", [NOON + TICKET_LASTS, NOON + LASTS])
async def test_a_late_ticket_begins_nothing(store: PostgresStore, now: datetime) -> None:
    await put(store, "ticket", WAITS)
    assert await store.sessions.begin(digest("ticket"), digest("token"), now) is None
    assert await found(store, "token") is None


async def test_a_token_is_no_ticket(store: PostgresStore) -> None:
    await put(store, "token")
    assert await store.sessions.begin(digest("token"), digest("other"), NOON) is None
    assert await found(store, "token") == SESSION


async def test_an_ended_session_is_gone_and_every_process_hears_of_it(store: PostgresStore) -> None:
    await put(store, "token")
    async with store.credentials.ended_sessions() as ended:
        await ended.wait(0.01)
        await store.sessions.end(digest("token"))
        assert await ended.wait(10)
    assert await found(store, "token") is None
    await store.sessions.end(digest("token"))


async def test_of_more_than_the_most_the_oldest_of_the_user_end(store: PostgresStore) -> None:
    await put(store, "of ben", replace(SESSION, user="ben"))
    for number in range(MOST + 2):
        await put(store, f"token {number}")
    assert [await found(store, f"token {number}") is None for number in range(4)] == [True, True, False, False]
    assert await found(store, "of ben") is not None


async def test_of_more_than_the_most_the_oldest_of_the_tenant_end(store: PostgresStore) -> None:
    await put(store, "oldest")
    await put(store, "of another tenant", replace(SESSION, tenant="story"))
    columns = sessions.c.tenant, sessions.c.user, sessions.c.sha256, sessions.c.scopes
    user = sa.func.concat("user-", sa.column("number").cast(sa.Text))
    others = sa.select(
        sa.literal("studio"),
        user,
        sa.func.encode(sa.func.sha256(user.cast(sa.LargeBinary)), "hex"),
        sa.cast([], ARRAY(sa.Text)),
        *(sa.literal(time, TIME) for time in (NOON, NOON + LASTS)),
    ).select_from(sa.func.generate_series(1, MOST_OF_TENANT).alias("number"))
    async with store.database.writing() as connection:
        into = [*columns, sessions.c.create_time, sessions.c.expire_time]
        await connection.execute(sa.insert(sessions).from_select(into, others))
    await put(store, "newest", replace(SESSION, user="eve"))
    assert [await found(store, token) is None for token in ("oldest", "of another tenant", "newest")] == [
        True,
        False,
        False,
    ]
    async with store.database.reading() as connection:
        of_tenant = sa.select(sa.func.count()).where(sessions.c.tenant == "studio")
        assert await connection.scalar(of_tenant) == MOST_OF_TENANT


async def test_new_sessions_take_the_expired_ones_away(store: PostgresStore) -> None:
    await put(store, "expired")
    await put(store, "late ticket", WAITS)
    await put(store, "holds", replace(SESSION, create_time=NOON + LASTS, expire_time=NOON + 2 * LASTS))
    async with store.database.reading() as connection:
        assert list((await connection.execute(sa.select(sessions.c.sha256))).scalars()) == [digest("holds")]


async def test_the_deletion_of_a_user_ends_its_sessions_and_refuses_new_ones(store: PostgresStore) -> None:
    await put(store, "token")
    await put(store, "ticket", WAITS)
    await put(store, "of ben", replace(SESSION, user="ben"))
    deletion = UserDeletion(id="d", tenant="studio", user="ann", pseudonym="deleted-1", create_time=NOON)
    async with store.credentials.ended_sessions() as ended:
        await ended.wait(0.01)
        await store.user_deletions.begin(deletion, an_act("DeleteUser"))
        assert await ended.wait(10)
    assert await found(store, "token") is None
    assert await store.sessions.begin(digest("ticket"), digest("other"), NOON) is None
    assert await found(store, "of ben") is not None
    with pytest.raises(PreconditionFailed) as caught:
        await put(store, "again")
    assert caught.value.reason == RetentionReason.USER_IN_DELETION
