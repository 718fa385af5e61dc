"""Settings of the prompt writer: each field of `Settings` is the variable of its name, with I2V_PROMPT_ in front."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from services.live_secret import LiveSecret
from services.providers.listen_address import ADDRESS, LOOPBACK, is_own
from services.providers.prompt.endpoint import Endpoint
from services.providers.prompt.token_cost import Price
from services.settings import BadSetting, Key, ProcessSettings, Switch, is_of_kubernetes, matching

PREFIX = "I2V_PROMPT_"
ORCHESTRATOR = {"I2V_PROMPT_WRITER", "I2V_PROMPT_MOST_MICROS"}
"""The orchestrator's settings about this process."""
HIGHEST_PRICE = 10**12

TimeoutSeconds = Annotated[float, Field(gt=0, le=600)]


class Settings(ProcessSettings):
    """Settings of the prompt writer."""

    listen: Annotated[str, matching(ADDRESS.pattern, "`host:port`")] = "127.0.0.1:50071"
    """`host:port` of the gRPC server."""
    metrics_listen: Annotated[str, matching(f"({ADDRESS.pattern})?", "`host:port`, or empty")] = "127.0.0.1:9475"
    """`host:port` of `/metrics`. Empty: there are none."""
    access_key: Key = SecretStr("")
    """What the orchestrator sends as `authorization: Bearer <key>`. Needed unless the process listens on a loopback
    address."""
    access_key_file: str = ""
    """A file that holds the access key instead."""
    llm_url: Annotated[str, Field(repr=False)] = ""
    """URL of an OpenAI-compatible endpoint, up to and with `/v1`. Empty: no language model, the template writes every
    prompt."""
    llm_model: str = ""
    """Name of the model there."""
    llm_key: Key = SecretStr("")
    """Key of the endpoint. Empty: it needs none."""
    llm_key_file: str = ""
    """A file that holds the endpoint's key instead."""
    llm_plaintext: Switch = False
    """Whether the endpoint may be reached by `http://` across a network; on this machine it always may."""
    llm_timeout_s: TimeoutSeconds = 30.0
    """Seconds for one call, from its start to the last byte of its answer."""
    llm_connect_timeout_s: TimeoutSeconds = 5.0
    """Seconds to connect."""
    llm_retries: Annotated[int, Field(ge=0, le=5)] = 2
    """Repeats of a call that may yet succeed, 0 to 5."""
    llm_patience_s: TimeoutSeconds = 90.0
    """Seconds for all calls of one prompt together."""
    llm_max_tokens: Annotated[int, Field(ge=100, le=100_000)] = 2000
    """Tokens that an answer may have, including reasoning."""
    llm_max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """Field of that limit: `max_tokens`, or `max_completion_tokens` if the endpoint wants that."""
    llm_json_mode: Literal["object", "schema", "off"] = "object"
    """How JSON is requested: `object`, `schema`, or `off` for by the prompt alone."""
    input_price_micros: int | None = None
    """Price of a million tokens read, in micros of the currency; 0 for a model of one's own. Not needed without a
    language model."""
    output_price_micros: int | None = None
    """Price of a million tokens written, likewise."""
    currency: Annotated[str, matching("[A-Z]{3}", "three capital letters, such as `USD`")] = "USD"
    """ISO 4217. The orchestrator refuses prompts that cost something in another currency than `USD`."""
    max_calls: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Calls that are answered at a time; more are refused."""
    reflection: Switch = True
    """gRPC reflection."""
    drain_s: float = 5.0
    """Seconds that running calls may continue after a stop signal."""
    drain_delay_s: float = 0.0
    """Seconds that health says NOT_SERVING before that. In Kubernetes: 5."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Reads the settings. Raises BadSetting at an unknown I2V_PROMPT_ variable or a value that cannot be used."""
        return cls.read(PREFIX, environment, lambda name: name in ORCHESTRATOR or is_of_kubernetes(PREFIX, name))

    def price(self) -> Price:
        """Returns what tokens cost."""
        return Price(self.input_price_micros or 0, self.output_price_micros or 0, self.currency)

    def endpoint(self) -> Endpoint | None:
        """Returns where the language model is, if there is one."""
        if not self.llm_url:
            return None
        return Endpoint(
            url=self.llm_url,
            model=self.llm_model,
            key=LiveSecret(f"{PREFIX}LLM_KEY_FILE", self.llm_key_file, self.llm_key.get_secret_value()).text,
            timeout_s=self.llm_timeout_s,
            connect_timeout_s=self.llm_connect_timeout_s,
            retries=self.llm_retries,
            max_tokens=self.llm_max_tokens,
            max_tokens_field=self.llm_max_tokens_field,
            json_mode=self.llm_json_mode,
        )

    def check(self, prefix: str) -> None:
        """Raises BadSetting for values that do not go together, and for an endpoint that cannot be used."""
        super().check(prefix)
        if not self.access_key and not is_own(self.listen):
            raise BadSetting(f"{prefix}ACCESS_KEY is needed: {self.listen} can be reached from elsewhere")
        if self.llm_url:
            self._check_endpoint(prefix)

    def _check_endpoint(self, prefix: str) -> None:
        # A URL may hold a password, so it is not in the messages.
        try:
            url = urlsplit(self.llm_url)
            host, _ = url.hostname or "", url.port
        except ValueError:
            raise BadSetting(f"{prefix}LLM_URL is not a URL") from None
        if url.scheme not in ("http", "https") or not host or url.username is not None or url.query or url.fragment:
            raise BadSetting(f"{prefix}LLM_URL is `https://host/…/v1`, without a user, a query and a fragment")
        if url.scheme == "http" and host not in LOOPBACK and not self.llm_plaintext:
            raise BadSetting(f"{prefix}LLM_URL is not encrypted; take https://, or set {prefix}LLM_PLAINTEXT")
        if not re.fullmatch(r"[!-~]{1,200}", self.llm_model):
            raise BadSetting(f"{prefix}LLM_MODEL is needed: the name of a model at the endpoint")
        for name, price in (("INPUT", self.input_price_micros), ("OUTPUT", self.output_price_micros)):
            if price is None or not 0 <= price <= HIGHEST_PRICE:
                what = f"what a million tokens cost, in micros; 0 if nothing, at most {HIGHEST_PRICE}"
                raise BadSetting(f"{prefix}{name}_PRICE_MICROS is needed: {what}")
