"""Settings of the HTTP process: each field of `Settings` is the variable of its name, with I2V_STUDIO_ in front."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from services.certificates.certificate_files import CertificateFiles, CertificateMeter
from services.settings import ListenAddress, ProcessSettings, is_of_kubernetes, matching
from services.studio.sessions.session_cookie import SessionCookie

PREFIX = "I2V_STUDIO_"
_ORIGIN = r"https?://[A-Za-z0-9.\-\[\]:]{1,253}"
ORIGINS = rf"(\*|{_ORIGIN}(,{_ORIGIN})*)?"
ORCHESTRATOR = {"I2V_STUDIO_URL"}
"""The orchestrator's setting about this process."""


class Settings(ProcessSettings):
    """Settings of the HTTP process."""

    listen: ListenAddress = "127.0.0.1:50080"
    """`host:port` of the HTTP server."""
    metrics_listen: Annotated[str, matching(r"(\S+:\d{1,5})?", "`host:port`, or empty")] = "127.0.0.1:9476"
    """`host:port` of `/metrics`. Empty: there are none."""
    api: ListenAddress = "127.0.0.1:50051"
    """`host:port` of the orchestrator, in the role `api` or `all`."""
    api_ca_file: str = ""
    """Certificate authorities of the orchestrator, PEM; it must then use TLS. Empty: plaintext."""
    api_cert_file: str = ""
    """Certificate chain that this process shows to the orchestrator, PEM. Empty: the server's, if it has one. Goes with
    the key."""
    api_cert_key_file: str = ""
    """Key of that certificate, PEM."""
    tls_cert_file: str = ""
    """Certificate chain of the HTTP server, PEM. Empty: plaintext, for a proxy in front that speaks TLS. Goes with the
    key."""
    tls_key_file: str = ""
    """Key of the certificate, PEM."""
    tls_client_ca_file: str = ""
    """Certificate authorities of clients, PEM: each client, such as the proxy in front, must then show a certificate of
    theirs. Empty: clients show none. Needs the server's certificate."""
    cors_origins: Annotated[str, matching(ORIGINS, "`https://…` origins with commas between them, `*`, or empty")] = ""
    """Origins whose pages may call `/v1`, such as `https://app.example.com,https://other.example.com`; `*`: any. Empty:
    none. Such a page needs a key or token of its own: the cookie of our pages does not count for it. Live URLs are for
    pages of any origin."""
    secure_cookies: bool = False
    """Whether browsers come by HTTPS alone, through a proxy in front: then the cookie of a session is `Secure`, and no
    other host of the domain can set it. Always so if this process speaks TLS itself."""
    max_connections: PositiveInt = 1000
    """Connections at a time; a request on one more is answered with 503. Requests of one key take at most four fifths
    of them."""
    api_timeout_s: PositiveFloat = 10.0
    """Seconds that the orchestrator may take to say what a URL names."""
    stall_s: PositiveFloat = 60.0
    """Seconds that a reader may take nothing; then the connection is closed."""
    event_streams: PositiveInt = 700
    """Streams of events at a time, four fifths of them for one key; more are refused with 503. Keep it below the
    connections."""
    caller_event_streams: PositiveInt = 100
    """Streams of events of one user of one key at a time."""
    sockets: PositiveInt = 400
    """Connections of Socket.IO at a time; more are refused with 503. Keep it below the connections."""
    caller_sockets: PositiveInt = 20
    """Connections of Socket.IO of one user of one key at a time."""
    frame_threads: PositiveInt = 2
    """Threads that make the pictures of `frame_ready`."""
    api_away_s: PositiveFloat = 60.0
    """Seconds for which the orchestrator may be away before open streams of events end with an error."""
    drain_s: Annotated[int, Field(ge=0, le=3600)] = 5
    """Seconds that running responses may continue after a stop signal."""
    drain_delay_s: NonNegativeFloat = 0.0
    """Seconds that connections are still accepted before that, so that load balancers notice. In Kubernetes: 5."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Reads the settings. Raises BadSetting at an unknown I2V_STUDIO_ variable or a value that cannot be used."""
        return cls.read(PREFIX, environment, lambda name: name in ORCHESTRATOR or is_of_kubernetes(PREFIX, name))

    def origins(self) -> list[str]:
        """Returns the origins whose pages may call."""
        return self.cors_origins.split(",") if self.cors_origins else []

    def session_cookie(self) -> SessionCookie:
        """Returns the cookie of people who are signed in."""
        return SessionCookie(secure=self.secure_cookies or bool(self.tls_cert_file))

    def check(self, prefix: str) -> None:
        """Raises BadSetting for values that do not go together, and for files that cannot be read."""
        super().check(prefix)
        self.api_certificates()

    def api_certificates(self, meter: CertificateMeter | None = None) -> CertificateFiles | None:
        """Reads whom to trust as the orchestrator, and what to show it; None: plaintext. Raises BadSetting."""
        prefix = f"{PREFIX}API"
        return self.client_certificate(prefix, self.api_ca_file, self.api_cert_file, self.api_cert_key_file, meter)
