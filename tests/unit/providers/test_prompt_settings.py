"""The prompt writer's environment is read once; an invalid variable is named, and secrets are never shown."""

import re
from pathlib import Path

import pytest

from services.providers.prompt.settings import Settings
from services.settings import BadSetting

SECRET = "sk-very-secret-0123456789"
LLM = {
    "LLM_URL": "https://models.example/v1",
    "LLM_MODEL": "small",
    "LLM_KEY": SECRET,
    "INPUT_PRICE_MICROS": "150000",
    "OUTPUT_PRICE_MICROS": "600000",
}


def settings(**variables: str) -> Settings:
    return Settings.from_environment({f"I2V_PROMPT_{name}": value for name, value in variables.items()})


def test_without_settings_it_writes_templates_for_this_machine_only() -> None:
    found = settings()
    assert (found.endpoint(), bool(found.access_key), found.listen) == (None, False, "127.0.0.1:50071")


def test_a_language_model_is_an_address_a_name_a_key_and_two_prices() -> None:
    found = settings(**LLM)
    endpoint, price = found.endpoint(), found.price()
    assert endpoint is not None
    assert (endpoint.url, endpoint.model, endpoint.key()) == ("https://models.example/v1", "small", SECRET)
    assert (price.input_micros, price.output_micros, price.currency_code) == (150_000, 600_000, "USD")


def test_a_key_may_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f" {SECRET}\n")
    changed = {**LLM, "LLM_KEY_FILE": str(file)}
    with pytest.raises(BadSetting, match="I2V_PROMPT_LLM_KEY and I2V_PROMPT_LLM_KEY_FILE are both given"):
        settings(**changed)
    del changed["LLM_KEY"]
    endpoint = settings(**changed).endpoint()
    assert endpoint is not None
    assert endpoint.key() == SECRET


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"LLM_URL": "ftp://models.example"}, "I2V_PROMPT_LLM_URL is `https"),
        ({"LLM_URL": "models.example/v1"}, "I2V_PROMPT_LLM_URL is `https"),
        ({"LLM_URL": f"https://me:{SECRET}@models.example/v1"}, "without a user"),
        ({"LLM_URL": f"https://models.example/v1?key={SECRET}"}, "a query"),
        ({"LLM_URL": "https://[::1/v1"}, "I2V_PROMPT_LLM_URL is not a URL"),
        ({"LLM_URL": "https://models.example:99999/v1"}, "I2V_PROMPT_LLM_URL is not a URL"),
        ({"LLM_URL": "http://models.example/v1"}, "I2V_PROMPT_LLM_PLAINTEXT"),
        ({"LLM_MODEL": ""}, "I2V_PROMPT_LLM_MODEL is needed"),
        ({"LLM_KEY": f"{SECRET} x"}, "I2V_PROMPT_LLM_KEY cannot be used: it has characters that no key has"),
        (
            {"LLM_KEY": "", "LLM_KEY_FILE": "does/not/exist"},
            "I2V_PROMPT_LLM_KEY_FILE names does/not/exist, which cannot be read",
        ),
        ({"INPUT_PRICE_MICROS": "-1"}, "I2V_PROMPT_INPUT_PRICE_MICROS is needed"),
        ({"OUTPUT_PRICE_MICROS": "0.6"}, "I2V_PROMPT_OUTPUT_PRICE_MICROS cannot be '0.6'"),
        ({"LLM_RETRIES": "6"}, "I2V_PROMPT_LLM_RETRIES cannot be '6': it is at least 0 and at most 5"),
        ({"LLM_TIMEOUT_S": "0"}, "I2V_PROMPT_LLM_TIMEOUT_S cannot be '0': it is more than 0 and at most 600"),
        ({"LLM_TIMEOUT_S": "nan"}, "I2V_PROMPT_LLM_TIMEOUT_S cannot be 'nan'"),
        ({"LLM_PATIENCE_S": "601"}, "I2V_PROMPT_LLM_PATIENCE_S cannot be '601': it is more than 0"),
        ({"LLM_MAX_TOKENS_FIELD": "n"}, "I2V_PROMPT_LLM_MAX_TOKENS_FIELD cannot be 'n': it should be 'max_tokens' or"),
        (
            {"LLM_JSON_MODE": "yes"},
            "I2V_PROMPT_LLM_JSON_MODE cannot be 'yes': it should be 'object', 'schema' or 'off'",
        ),
        ({"LLM_PLAINTEXT": "perhaps"}, "I2V_PROMPT_LLM_PLAINTEXT cannot be 'perhaps'"),
        ({"CURRENCY": "usd"}, "I2V_PROMPT_CURRENCY cannot be 'usd': it is three capital letters"),
        ({"LISTEN": "50061"}, "I2V_PROMPT_LISTEN cannot be '50061': it is `host:port`"),
        ({"METRICS_LISTEN": "9475"}, "I2V_PROMPT_METRICS_LISTEN cannot be '9475': it is `host:port`"),
        ({"LISTEN": "0.0.0.0:50061"}, "I2V_PROMPT_ACCESS_KEY is needed"),
        ({"TLS_CERT_FILE": "cert.pem"}, "I2V_PROMPT_TLS_CERT_FILE and I2V_PROMPT_TLS_KEY_FILE go together"),
        ({"MODEL": "x"}, "there is no setting I2V_PROMPT_MODEL"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_without_a_secret(changes: dict[str, str], message: str) -> None:
    with pytest.raises(BadSetting, match=re.escape(message)) as caught:
        settings(**{**LLM, **changes})
    assert SECRET not in str(caught.value)


def test_plain_http_is_allowed_for_this_machine_or_by_a_setting() -> None:
    for url in ("http://127.0.0.1:8089/v1", "http://localhost/v1", "http://[::1]:1/v1"):
        assert settings(**{**LLM, "LLM_URL": url}).endpoint()
    assert settings(**{**LLM, "LLM_URL": "http://vllm.models:8000/v1", "LLM_PLAINTEXT": "true"}).endpoint()


def test_an_access_key_allows_other_addresses() -> None:
    assert settings(LISTEN="0.0.0.0:50061", ACCESS_KEY=SECRET).access_key.get_secret_value() == SECRET


def test_variables_of_kubernetes_and_other_programs_are_ignored() -> None:
    found = {
        "I2V_PROMPT_SERVICE_HOST": "10.0.0.1",
        "I2V_PROMPT_SERVICE_PORT_GRPC": "50061",
        "I2V_PROMPT_PORT": "tcp://10.0.0.1:50061",
        "I2V_PROMPT_WRITER_PORT_50061_TCP_ADDR": "10.0.0.1",
        "I2V_LISTEN": "0.0.0.0:1",
        "OPENAI_API_KEY": SECRET,
    }
    assert Settings.from_environment(found) == Settings()


def test_secrets_are_not_in_the_representation() -> None:
    assert SECRET not in repr(settings(**LLM, ACCESS_KEY=SECRET))


def test_variables_of_the_orchestrator_about_this_process_are_ignored() -> None:
    assert settings(WRITER="127.0.0.1:50071", MOST_MICROS="20000") == settings()
