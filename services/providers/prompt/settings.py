"""Settings of the prompt writer: every I2V_PROMPT_* variable there is, read once and checked."""

import dataclasses
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from services.providers.listen_address import ADDRESS, LOOPBACK, is_own
from services.providers.prompt.llm import Endpoint
from services.providers.prompt.token_cost import Price
from services.rpc.setting_values import BadSetting, parsed

PREFIX = "I2V_PROMPT_"
KUBERNETES = re.compile(
    r"I2V_PROMPT(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP)(_\w+)?)?)|I2V_PROMPT_PORT"
)
"""What Kubernetes puts there by itself for a Service of such a name."""
ORCHESTRATOR = {"I2V_PROMPT_WRITER", "I2V_PROMPT_MOST_MICROS"}
"""The orchestrator's settings about this process, which may stand in the same environment."""
SECRET = re.compile(r"[!-~]{1,4096}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Each field is the variable of its name in capitals, with I2V_PROMPT_ in front."""

    listen: str = "127.0.0.1:50071"
    """Address of the gRPC server."""
    metrics_listen: str = "127.0.0.1:9475"
    """Address of /metrics. Empty: there are none."""
    access_key: str = field(default="", repr=False)
    """What the orchestrator must show. Empty: anybody may call; only where nobody else can reach it."""
    access_key_file: str = ""
    """A file that holds it instead."""
    llm_url: str = ""
    """Of an OpenAI-compatible endpoint, up to and with `/v1`. Empty: no language model, the template writes."""
    llm_model: str = ""
    """Name of the model there."""
    llm_key: str = field(default="", repr=False)
    """Key of the endpoint. Empty: it needs none."""
    llm_key_file: str = ""
    """A file that holds it instead."""
    llm_plaintext: bool = False
    """Whether the endpoint may be spoken to by http:// across a network."""
    llm_timeout_s: float = 30.0
    """For one call."""
    llm_connect_timeout_s: float = 5.0
    """To be connected."""
    llm_retries: int = 2
    """Repeats of a call that was not answered, or with 408, 409, 425, 429 or 5xx. 0 to 5."""
    llm_patience_s: float = 90.0
    """For all calls of one prompt together."""
    llm_max_tokens: int = 2000
    """Tokens that an answer may have, thoughts included."""
    llm_max_tokens_field: str = "max_tokens"
    """`max_tokens`, or `max_completion_tokens` where the endpoint wants that."""
    llm_json_mode: str = "object"
    """How JSON is asked for: `object`, `schema`, or `off` for by words alone."""
    input_price_micros: int = -1
    """Price of a million tokens read, in micros. Needed with a language model; 0 for one of one's own."""
    output_price_micros: int = -1
    """Price of a million tokens written, likewise."""
    currency: str = "USD"
    """ISO 4217."""
    max_calls: int = 200
    """Calls that are answered at a time; more are refused."""
    reflection: bool = True
    """gRPC reflection."""
    tls_cert_file: str = ""
    """Certificate chain, PEM. Empty: plaintext."""
    tls_key_file: str = ""
    """Key of the certificate, PEM."""
    drain_s: float = 5.0
    """How long running calls may go on when the process is told to stop."""
    drain_delay_s: float = 0.0
    """How long it says NOT_SERVING before that. In Kubernetes: 5."""
    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""
    log_json: bool = True
    """JSON lines; otherwise plain text."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Reads the settings. Raises BadSetting at an unknown I2V_PROMPT_ variable or a value that cannot be used."""
        found = os.environ if environment is None else environment  # noqa: TID251
        given = {
            name.removeprefix(PREFIX).lower(): value
            for name, value in found.items()
            if name.startswith(PREFIX) and name not in ORCHESTRATOR and not KUBERNETES.fullmatch(name)
        }
        fields = {each.name: each.type for each in dataclasses.fields(cls)}
        if unknown := sorted(set(given) - set(fields)):
            raise BadSetting(f"there is no setting {PREFIX}{unknown[0].upper()}")
        settings = cls(**{name: parsed(PREFIX + name.upper(), value, fields[name]) for name, value in given.items()})
        settings._check()
        return settings

    def access_secret(self) -> str:
        """Returns what callers must show, or nothing. Raises BadSetting."""
        return _secret("ACCESS_KEY", self.access_key, self.access_key_file)

    def price(self) -> Price:
        """Returns what tokens cost."""
        return Price(max(0, self.input_price_micros), max(0, self.output_price_micros), self.currency)

    def endpoint(self) -> Endpoint | None:
        """Returns where the language model is, if there is one. Raises BadSetting."""
        if not self.llm_url:
            return None
        return Endpoint(
            url=self.llm_url,
            model=self.llm_model,
            key=_secret("LLM_KEY", self.llm_key, self.llm_key_file),
            timeout_s=self.llm_timeout_s,
            connect_timeout_s=self.llm_connect_timeout_s,
            retries=self.llm_retries,
            max_tokens=self.llm_max_tokens,
            max_tokens_field=self.llm_max_tokens_field,
            json_mode=self.llm_json_mode,
        )

    def _check(self) -> None:
        if not ADDRESS.fullmatch(self.listen):
            raise _bad("listen", "is not `host:port`")
        if self.metrics_listen and not ADDRESS.fullmatch(self.metrics_listen):
            raise _bad("metrics_listen", "is not `host:port`")
        if not self.access_secret() and not is_own(self.listen):
            raise _bad("access_key", f"is needed: {self.listen} can be reached from elsewhere")
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            raise _bad("tls_cert_file", f"goes together with {PREFIX}TLS_KEY_FILE")
        for name in ("llm_timeout_s", "llm_connect_timeout_s", "llm_patience_s"):
            if not 0 < getattr(self, name) <= 600:
                raise _bad(name, "is more than 0 and at most 600 seconds")
        for name, least, most in (("llm_retries", 0, 5), ("llm_max_tokens", 100, 100_000), ("max_calls", 1, 10_000)):
            if not least <= getattr(self, name) <= most:
                raise _bad(name, f"is {least} to {most}")
        if self.llm_max_tokens_field not in ("max_tokens", "max_completion_tokens"):
            raise _bad("llm_max_tokens_field", "is `max_tokens` or `max_completion_tokens`")
        if self.llm_json_mode not in ("object", "schema", "off"):
            raise _bad("llm_json_mode", "is `object`, `schema` or `off`")
        if not re.fullmatch(r"[A-Z]{3}", self.currency):
            raise _bad("currency", "is three capital letters, such as `USD`")
        if self.llm_url:
            self._check_llm()

    def _check_llm(self) -> None:
        try:
            url = urlsplit(self.llm_url)
            host, _ = url.hostname or "", url.port
        except ValueError:
            raise _bad("llm_url", "is not a URL") from None
        # A URL with a password in it would stand in log lines.
        if url.scheme not in ("http", "https") or not host or url.username is not None or url.query or url.fragment:
            raise _bad("llm_url", "is `https://host/…/v1`, without a user, a query and a fragment")
        if url.scheme == "http" and host not in LOOPBACK and not self.llm_plaintext:
            raise _bad("llm_url", f"is not encrypted; take https://, or set {PREFIX}LLM_PLAINTEXT")
        if not re.fullmatch(r"[!-~]{1,200}", self.llm_model):
            raise _bad("llm_model", "is needed: the name of a model at the endpoint")
        for name in ("input_price_micros", "output_price_micros"):
            if not 0 <= getattr(self, name) <= 10**12:
                raise _bad(name, "is needed: what a million tokens cost, in micros; 0 if nothing")
        self.endpoint()


def _bad(name: str, what: str) -> BadSetting:
    return BadSetting(f"{PREFIX}{name.upper()} {what}")


def _secret(name: str, value: str, file: str) -> str:
    """Returns a secret out of a variable or a file, or nothing. Raises BadSetting, without a word of it."""
    if value and file:
        raise _bad(name, f"and {PREFIX}{name}_FILE exclude one another")
    if file:
        try:
            value = Path(file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise _bad(f"{name}_FILE", f"cannot be read: {type(error).__name__}") from None
        if not value:
            raise _bad(f"{name}_FILE", "is empty")
    if value and not SECRET.fullmatch(value):
        raise _bad(name, "has signs that no key has: blanks, line breaks or others beside ASCII")
    return value
