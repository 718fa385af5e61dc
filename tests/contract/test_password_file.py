"""A new password of the database holds for new connections, without a restart."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.errors import Unavailable
from services.live_secret import LiveSecret
from services.orchestrator.store.database import Database, driver_url
from services.orchestrator.store.embedded_postgres import EmbeddedPostgres
from services.orchestrator.store.password_file import PasswordFile


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    """A server that demands a password of the role `keyed`: at first `one:\\`."""
    with tempfile.TemporaryDirectory(prefix="i2v-pg-", ignore_cleanup_errors=True) as folder:
        data = Path(folder) / "data"
        server = EmbeddedPostgres(data)
        rules = data / "pg_hba.conf"
        rules.write_text("local all keyed scram-sha-256\n" + rules.read_text())
        run(server, "CREATE ROLE keyed LOGIN", "SELECT pg_reload_conf()")
        set_password(server, "one:\\")
        yield server
        server.close()


def run(server: EmbeddedPostgres, *statements: str) -> None:
    admin = sa.create_engine(driver_url(server.admin_url), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        for each in statements:
            connection.execute(sa.text(each))


def set_password(server: EmbeddedPostgres, password: str) -> None:
    run(server, f"ALTER ROLE keyed PASSWORD {sa.literal(password).compile(compile_kwargs={'literal_binds': True})}")


def url_of(server: EmbeddedPostgres, password: str) -> str:
    url = sa.make_url(server.url).set(username="keyed", password=password)
    return url.render_as_string(hide_password=False)


async def works(url: str) -> bool:
    """Whether a new connection can be made."""
    database = Database(url, pool_size=1)
    try:
        await database.check()
    except Unavailable:
        return False
    finally:
        await database.close()
    return True


async def test_new_connections_take_the_new_password(server: EmbeddedPostgres, tmp_path: Path) -> None:
    file = tmp_path / "database-url"
    file.write_text(url_of(server, "one:\\"))
    passwords = PasswordFile(LiveSecret("I2V_DATABASE_URL_FILE", str(file)).text)
    assert "one" not in passwords.url and "one" not in repr(passwords)
    assert await works(passwords.url)
    set_password(server, "two%@")
    assert not await works(passwords.url)
    file.write_text(url_of(server, "two%@"))
    passwords.renew()
    assert await works(passwords.url)
    passwords.close()


def test_the_file_is_for_this_user_alone_and_is_removed() -> None:
    passwords = PasswordFile(lambda: "postgresql://ann:word@db.example/i2v?sslmode=require")
    url = sa.make_url(passwords.url)
    assert (url.password, url.query["sslmode"]) == (None, "require")
    path = Path(str(url.query["passfile"]))
    assert (os.stat(path).st_mode & 0o777, os.stat(path.parent).st_mode & 0o777) == (0o600, 0o700)
    passwords.close()
    assert not path.exists()


@pytest.mark.parametrize("url", ["postgresql:///i2v?host=/run/x", "postgresql://ann@db.example/i2v", "postgresql://[x"])
def test_a_url_without_a_password_stays_as_it_is(url: str) -> None:
    passwords = PasswordFile(lambda: url)
    assert passwords.url == url
    passwords.close()
