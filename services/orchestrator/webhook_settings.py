"""The settings of webhooks: where they may go, and how many at a time."""

from typing import Annotated

from pydantic import Field

from services.orchestrator.backend_tls_settings import BackendTlsSettings
from services.settings import matching

_HOST = r"[A-Za-z0-9_-][A-Za-z0-9.:_-]*|\[[0-9A-Fa-f:.]+\](:[0-9]+)?"
_HOSTS = matching(rf"(({_HOST})( *, *({_HOST}))*)?", "`host,address,host:port,…`, or empty")


class WebhookSettings(BackendTlsSettings):
    """Where webhooks may go, and how many at a time."""

    webhook_private_hosts: Annotated[str, _HOSTS] = ""
    """Hosts of your own network that webhooks may go to, also by `http`: `host,10.1.2.3,host:port,…`. A listed name may
    lead to a private address, and a listed address may be one. Empty: webhooks go to hosts of the internet alone, by
    `https`. APIs need it too. See [webhooks.md](webhooks.md#where-webhooks-may-go)."""
    webhook_timeout_s: Annotated[float, Field(ge=0.1, le=60)] = 10.0
    """Seconds that a receiver of a webhook may take to send its status, from the look-up of its name; 0.1 to 60."""
    webhook_sends: Annotated[int, Field(ge=2, le=10_000)] = 500
    """Webhooks that a process sends at a time, and half as many more to endpoints that failed at their last try; 2 to
    10000. Each takes a connection."""

    def webhook_hosts(self) -> tuple[str, ...]:
        """Returns the hosts of private networks that webhooks may go to."""
        hosts = self.webhook_private_hosts.lower().replace("[", "").replace("]", "").split(",")
        return tuple(each.strip() for each in hosts if each.strip())
