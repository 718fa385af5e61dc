"""SenderStore: what a process that only sends webhooks needs of the database."""

from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.store.database import Database
from services.orchestrator.store.inventory import PostgresInventory
from services.orchestrator.store.service_secrets import PostgresServiceSecrets
from services.orchestrator.store.webhook_deliveries import PostgresDeliveries


class SenderStore:
    """A few parts of a PostgresStore, whose others take 4 MB. It does not listen. Call `stop` at the end."""

    def __init__(self, url: str, *, clock: Clock, pool_size: int = 10) -> None:
        self.database = Database(url, pool_size=pool_size)
        self.inventory = PostgresInventory(self.database, clock)
        self.webhook_deliveries = PostgresDeliveries(self.database, PostgresServiceSecrets(self.database))

    async def stop(self) -> None:
        """Gives back every connection, those of calls that are just ending too."""
        await self.database.close()
