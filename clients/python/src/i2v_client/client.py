"""The service for programs without an event loop: what `AsyncClient` does, with methods that wait."""

from types import TracebackType
from typing import Self

import grpc

from i2v_client import ledger, library, provenance, webhooks
from i2v_client.async_client import AsyncClient
from i2v_client.blocking import Blocking, LoopThread, blocking, iterating
from i2v_client.tls_files import TlsSource


class Library(Blocking[library.Library]):
    """See `i2v_client.library`."""

    assets = iterating(library.Library.assets)
    get = blocking(library.Library.get)
    update = blocking(library.Library.update)
    favorite = blocking(library.Library.favorite)
    delete = blocking(library.Library.delete)
    restore = blocking(library.Library.restore)
    statistics = blocking(library.Library.statistics)
    sign_url = blocking(library.Library.sign_url)


class Ledger(Blocking[ledger.Ledger]):
    """See `i2v_client.ledger`."""

    query = blocking(ledger.Ledger.query)
    entries = iterating(ledger.Ledger.entries)
    statement = iterating(ledger.Ledger.statement)


class Provenance(Blocking[provenance.Provenance]):
    """See `i2v_client.provenance`."""

    manifest = blocking(provenance.Provenance.manifest)
    verify = blocking(provenance.Provenance.verify)


class Webhooks(Blocking[webhooks.Webhooks]):
    """See `i2v_client.webhooks`."""

    create = blocking(webhooks.Webhooks.create)
    get = blocking(webhooks.Webhooks.get)
    endpoints = iterating(webhooks.Webhooks.endpoints)
    update = blocking(webhooks.Webhooks.update)
    delete = blocking(webhooks.Webhooks.delete)
    rotate = blocking(webhooks.Webhooks.rotate)
    test = blocking(webhooks.Webhooks.test)
    deliveries = iterating(webhooks.Webhooks.deliveries)
    replay = blocking(webhooks.Webhooks.replay)


class Client(Blocking[AsyncClient]):
    """The service for one user. To be used as `with`; every method raises I2VError.

    Threads may share it; those that still wait when the block ends get concurrent.futures.CancelledError. Functions
    that are given to it, such as `on_outage`, run in a thread of the client. A child of `os.fork` needs a client of its
    own.
    """

    def __init__(
        self,
        address: str,
        key: str,
        user: str = "default",
        *,
        tls: bool | TlsSource = False,
        retry_for_s: float = 30.0,
        timeout_s: float = 30.0,
    ) -> None:
        """See `AsyncClient`. Raises ValueError for an invalid address, key or user's name."""
        self._asynchronous = AsyncClient(address, key, user, tls=tls, retry_for_s=retry_for_s, timeout_s=timeout_s)

    def __repr__(self) -> str:
        return repr(self._asynchronous).removeprefix("Async")

    def __enter__(self) -> Self:
        self._loop = LoopThread()
        try:
            self._loop.run(self._asynchronous.__aenter__())
        except BaseException:
            self._loop.close()
            raise
        self.library = Library(self._asynchronous.library, self._loop)
        self.ledger = Ledger(self._asynchronous.ledger, self._loop)
        self.provenance = Provenance(self._asynchronous.provenance, self._loop)
        self.webhooks = Webhooks(self._asynchronous.webhooks, self._loop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.run(self._asynchronous.__aexit__(kind, error, trace))
        self._loop.close()

    submit = blocking(AsyncClient.submit)
    submit_jobs = blocking(AsyncClient.submit_jobs)
    get = blocking(AsyncClient.get)
    jobs = iterating(AsyncClient.jobs)
    watch = iterating(AsyncClient.watch)
    cancel = blocking(AsyncClient.cancel)
    delete_job = blocking(AsyncClient.delete_job)
    resume = blocking(AsyncClient.resume)
    preview = blocking(AsyncClient.preview)
    preview_jobs = blocking(AsyncClient.preview_jobs)
    generate = blocking(AsyncClient.generate)
    upload = blocking(AsyncClient.upload)
    download = blocking(AsyncClient.download)
    models = blocking(AsyncClient.models)
    model = blocking(AsyncClient.model)
    usage = blocking(AsyncClient.usage)
    watch_usage = iterating(AsyncClient.watch_usage)
    call = blocking(AsyncClient.call)
    each = iterating(AsyncClient.each)
    stream = iterating(AsyncClient.stream)

    def channel(self) -> grpc.aio.Channel:
        """Returns the channel, to make stubs for `call`, `each` and `stream`."""
        return self._asynchronous.channel()
