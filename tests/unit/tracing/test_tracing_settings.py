"""OpenTelemetry's usual variables."""

import pytest

from services.known_secrets import hidden
from services.settings import BadSetting
from services.tracing.settings import TracingSettings

URL = "http://collector:4317"


def read(**variables: str) -> TracingSettings:
    return TracingSettings.from_environment({f"OTEL_{name}": value for name, value in variables.items()})


def test_tracing_is_off_without_an_endpoint_or_where_it_is_disabled() -> None:
    assert read().endpoint == ""
    assert read(EXPORTER_OTLP_ENDPOINT=URL).endpoint == URL
    assert read(EXPORTER_OTLP_ENDPOINT=URL, SDK_DISABLED="true").endpoint == ""
    assert read(EXPORTER_OTLP_ENDPOINT=URL, TRACES_EXPORTER="none").endpoint == ""
    assert read(EXPORTER_OTLP_ENDPOINT=URL, EXPORTER_OTLP_TRACES_ENDPOINT="https://traces").endpoint == "https://traces"


def test_an_empty_variable_is_one_that_is_not_set_and_those_of_the_library_are_its_own() -> None:
    empty = {name.upper(): "" for name in TracingSettings.model_fields}
    assert read(**empty) == read() == read(BSP_SCHEDULE_DELAY="100", EXPORTER_OTLP_TIMEOUT="3")


def test_what_the_collector_wants_as_a_key_is_hidden_in_every_text() -> None:
    read(EXPORTER_OTLP_HEADERS="authorization=Bearer%20of-the-collector,x=1")
    assert hidden("it said Bearer of-the-collector") == "it said [redacted]"


def test_the_attributes_of_a_process_are_pairs_and_may_be_percent_encoded() -> None:
    found = read(RESOURCE_ATTRIBUTES=" k8s.pod.name=api-0, note=a%2Cb%3Dc ,").attributes()
    assert found == {"k8s.pod.name": "api-0", "note": "a,b=c"}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("EXPORTER_OTLP_ENDPOINT", "collector:4317", "it is `http://host:port` or `https://host:port`"),
        ("EXPORTER_OTLP_ENDPOINT", "http://collector/v1/traces", "without a path"),
        ("EXPORTER_OTLP_ENDPOINT", "http://me:secret@collector", "without a path"),
        ("EXPORTER_OTLP_PROTOCOL", "http/protobuf", "'grpc'"),
        ("TRACES_SAMPLER", "jaeger_remote", "'parentbased_always_on'"),
        ("TRACES_SAMPLER_ARG", "1.5", "at most 1"),
        ("TRACES_SAMPLER_ARG", "a few", "number"),
        ("RESOURCE_ATTRIBUTES", "no pair", "it is `name=value`"),
        ("SDK_DISABLED", "perhaps", "`true` or `false`"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(name: str, value: str, said: str) -> None:
    with pytest.raises(BadSetting, match=f"OTEL_{name} ") as caught:
        read(**{name: value})
    assert said in str(caught.value)
