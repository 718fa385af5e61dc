"""Settings of a provider: each field of `Settings` is a variable of one vendor, `I2V_PROVIDER_WAVESPEED_KEY` and so on.

So the providers of one machine can share an environment.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt, SecretStr

from services.providers.listen_address import is_own
from services.settings import BadSetting, Key, ListenAddress, ProcessSettings, Switch, matching

PREFIX = "I2V_PROVIDER_"


class Settings(ProcessSettings):
    """Settings of one vendor's provider."""

    listen: ListenAddress = "127.0.0.1:50061"
    """`host:port` of the gRPC server. Two providers on one machine need different ones."""
    metrics_listen: ListenAddress = "127.0.0.1:9465"
    """`host:port` of `/metrics`, likewise."""
    key: Key = SecretStr("")
    """The vendor's API key. Empty: nothing is submitted."""
    key_file: str = ""
    """A file that holds the vendor's API key instead."""
    access_key: Key = SecretStr("")
    """What the orchestrator sends as `authorization: Bearer <key>`. Needed unless the provider listens on a loopback
    address."""
    access_key_file: str = ""
    """A file that holds the access key instead."""
    url: str = ""
    """URL of the vendor's API. Empty: the vendor's own."""
    upload_url: str = ""
    """URL of the vendor's storage API, if it has a separate one (fal). Empty: the vendor's own."""
    simulation: Switch = False
    """Whether `URL` is a simulator's. Needs `URL`."""
    output_hosts: str = ""
    """Where videos may be besides the vendor's own hosts: `host`, `*.domain` or an address, also with `:port`; several
    with commas."""
    data: Path = Path("var/provider")
    """Folder for inputs until they are submitted. Each process has a subfolder of its own."""
    connect_s: PositiveFloat = 10.0
    """Seconds for a connection."""
    submit_s: PositiveFloat = 60.0
    """Seconds without any progress of a submission; four times that for the whole."""
    look_s: PositiveFloat = 30.0
    """The same for polls and other free requests."""
    look_every_s: PositiveFloat = 2.0
    """Seconds from one poll to the next. After that a pause is a twentieth of the task's age."""
    look_seldom_s: PositiveFloat = 10.0
    """The longest pause between two polls, in seconds."""
    longest_pause_s: PositiveFloat = 30.0
    """Seconds between polls that fail, and between tries to fetch a video, at most; ten times that if the vendor asks
    for it."""
    watch_s: PositiveFloat = 1800.0
    """Seconds that a task is polled."""
    long_watch_s: PositiveFloat = 28800.0
    """The same for InfiniteTalk, which takes up to 30 seconds for each of up to 600."""
    inline_bytes: PositiveInt = 4_000_000
    """Size of an input above which it is uploaded."""
    upload_s: PositiveFloat = 120.0
    """Seconds without any progress of an upload."""
    output_bytes: PositiveInt = 500_000_000
    """Size of a video above which it is not fetched."""
    stall_s: PositiveFloat = 10.0
    """Seconds without a byte of a video until it is requested again. With more than 10, the orchestrator may hear
    nothing for longer than 15."""
    download_s: PositiveFloat = 1800.0
    """Seconds for a whole video; then the orchestrator tries again, until the job's deadline."""
    breaker_failures: PositiveInt = 5
    """Failures in a row that open the circuit breaker."""
    breaker_s: PositiveFloat = 30.0
    """Seconds that it stays open."""
    webhook_listen: Annotated[str, matching(r"(\S+:\d{1,5})?", "`host:port`")] = ""
    """`host:port` where webhooks arrive. Empty: there are none. Goes with the next."""
    webhook_url: str = ""
    """URL at which the vendor reaches `WEBHOOK_LISTEN`, http or https."""
    webhook_secret: Key = SecretStr("")
    """Secret that the vendor signs webhooks with. Empty: the vendor is asked for it, in the background."""
    webhook_secret_file: str = ""
    """A file that holds that secret instead."""
    kandinsky_image_field: str = "image"
    """WaveSpeed: the field of Kandinsky's picture; its documentation has `image` and `image_url`."""
    max_calls: PositiveInt = 2000
    """Calls that are answered at a time; more are refused, and nothing is submitted: their jobs wait."""
    settle_s: PositiveFloat = 60.0
    """Seconds that submissions may take after a stop signal."""
    drain_delay_s: NonNegativeFloat = 0.0
    """Seconds that health says NOT_SERVING before that. In Kubernetes: 5."""

    @classmethod
    def from_environment(cls, vendor: str, environment: Mapping[str, str] | None = None) -> "Settings":
        """Reads the settings of a vendor's process. Raises BadSetting at an unknown variable or an unusable value."""
        return cls.read(prefix_of(vendor), environment)

    def check(self, prefix: str) -> None:
        """Raises BadSetting for values that do not go together, and for URLs that cannot be used."""
        super().check(prefix)
        # A URL may hold a password, so it is not in the message.
        for name, url in (("URL", self.url), ("UPLOAD_URL", self.upload_url), ("WEBHOOK_URL", self.webhook_url)):
            if url and not _is_url(url):
                raise BadSetting(f"{prefix}{name} is no http or https URL")
        if not self.access_key and not is_own(self.listen):
            # Anyone who reaches the port could spend the account's money.
            raise BadSetting(f"{prefix}ACCESS_KEY is needed: {self.listen} can be reached from elsewhere")
        if self.simulation and not self.url:
            # It would spend money and say that it does not.
            raise BadSetting(f"{prefix}SIMULATION needs {prefix}URL, the simulator's")
        if bool(self.webhook_listen) != bool(self.webhook_url):
            raise BadSetting(f"{prefix}WEBHOOK_LISTEN and {prefix}WEBHOOK_URL go together")


def _is_url(text: str) -> bool:
    """Returns whether it is an http or https URL without a query."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query


def prefix_of(vendor: str) -> str:
    """Returns what a vendor's variables begin with."""
    return f"{PREFIX}{vendor.upper().replace('-', '_')}_"
