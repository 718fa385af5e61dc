"""Settings of tracing: OpenTelemetry's usual variables, the same for every process."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self
from urllib.parse import unquote

from pydantic import BeforeValidator, Field, SecretStr

from services.known_secrets import remember
from services.settings import BadSetting, EnvironmentSettings, Switch, matching

PREFIX = "OTEL_"
URL = r"(https?://[^/\s@?#]+(:\d{1,5})?/?)?"
A_URL = "`http://host:port` or `https://host:port`, without a path"


def unless_empty(default: object) -> BeforeValidator:
    """Returns what takes an empty variable for one that is not set, as OpenTelemetry does."""
    return BeforeValidator(lambda value: default if value == "" else value)


Protocol = Annotated[Literal["grpc"], unless_empty("grpc")]
Sampler = Literal[
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
]
DEFAULT: Sampler = "parentbased_always_on"


class TracingSettings(EnvironmentSettings):
    """Where spans go, and which traces are recorded. Other variables of OpenTelemetry are left to its library."""

    exporter_otlp_endpoint: Annotated[str, matching(URL, A_URL)] = ""
    """`http://host:port` of the collector, which takes OTLP by gRPC; `https://` for TLS. Empty: tracing is off."""
    exporter_otlp_traces_endpoint: Annotated[str, matching(URL, A_URL)] = ""
    """The same for traces alone. It comes first."""
    exporter_otlp_protocol: Protocol = "grpc"
    """The only protocol."""
    exporter_otlp_traces_protocol: Protocol = "grpc"
    """The only protocol."""
    exporter_otlp_headers: SecretStr = SecretStr("")
    """What the collector wants with each request, such as a key: `name=value,name=value`. The library reads it."""
    exporter_otlp_traces_headers: SecretStr = SecretStr("")
    """The same for traces alone."""
    traces_exporter: Annotated[Literal["otlp", "none"], unless_empty("otlp")] = "otlp"
    """`none`: tracing is off, even with an endpoint."""
    traces_sampler: Annotated[Sampler, unless_empty(DEFAULT)] = DEFAULT
    """Which traces are recorded. The `parentbased_` ones record what the caller records; the rest of their name decides
    about calls without a `traceparent`."""
    traces_sampler_arg: Annotated[float, Field(ge=0, le=1), unless_empty(1.0)] = 1.0
    """The share of traces that `traceidratio` records: 0.01 is one in a hundred."""
    service_name: str = ""
    """`service.name` of every span. Empty: the process's own, such as `i2v-worker`."""
    resource_attributes: str = ""
    """More attributes of the process: `deployment.environment.name=test,k8s.pod.name=api-0`."""
    sdk_disabled: Annotated[Switch, unless_empty(False)] = False
    """`true`: tracing is off, even with an endpoint."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Reads the variables. Raises BadSetting."""
        return cls.read(PREFIX, environment, foreign=lambda _: True)

    def check(self, prefix: str) -> None:
        """Raises BadSetting for attributes that are none."""
        self.attributes()
        for headers in (self.exporter_otlp_headers, self.exporter_otlp_traces_headers):
            for pair in headers.get_secret_value().split(","):
                remember(unquote(pair.partition("=")[2].strip()))

    @property
    def endpoint(self) -> str:
        """Where spans go; empty: tracing is off."""
        if self.sdk_disabled or self.traces_exporter == "none":
            return ""
        return self.exporter_otlp_traces_endpoint or self.exporter_otlp_endpoint

    def attributes(self) -> dict[str, str]:
        """Returns the attributes of the process. Raises BadSetting."""
        found: dict[str, str] = {}
        for pair in filter(None, (each.strip() for each in self.resource_attributes.split(","))):
            name, equals, value = pair.partition("=")
            if not equals or not name.strip():
                raise BadSetting(f"{PREFIX}RESOURCE_ATTRIBUTES has {pair!r}: it is `name=value`, with commas between")
            found[name.strip()] = unquote(value.strip())
        return found
