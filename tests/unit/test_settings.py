"""What the settings of all processes have in common, shown by a small class of settings."""

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field, PositiveInt, SecretStr, ValidationError

from services.settings import BadSetting, Key, ListenAddress, ProcessSettings, Switch

PREFIX = "I2V_SAMPLE_"
SECRET = "sk-very-secret-0123456789"


class Sample(ProcessSettings):
    """Settings of a process that does not exist."""

    listen: ListenAddress = "127.0.0.1:1"
    """Address of the sample."""
    share: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """A share."""
    count: PositiveInt = 3
    """A number."""
    fast: Switch = False
    """Whether it is fast."""
    folder: Path = Path("var")
    """A folder."""
    key: Key = SecretStr("")
    """A key."""
    key_file: str = ""
    """A file that holds it."""
    number: Annotated[SecretStr, Field(max_length=3)] = SecretStr("")
    """Another secret."""


def read(**variables: str) -> Sample:
    return Sample.read(PREFIX, {PREFIX + name: value for name, value in variables.items()})


def message(**variables: str) -> str:
    with pytest.raises(BadSetting) as caught:
        read(**variables)
    return str(caught.value)


def test_a_variable_is_a_field_in_capitals_after_the_prefix() -> None:
    found = read(LISTEN="host:2", SHARE="0.25", COUNT="4", FAST="yes", FOLDER="data", LOG_LEVEL="debug")
    assert found == Sample(listen="host:2", share=0.25, count=4, fast=True, folder=Path("data"), log_level="debug")
    assert Sample.read(PREFIX, {"I2V_COUNT": "x", "COUNT": "x", "count": "x"}) == Sample()


def test_only_read_uses_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNT", "7")
    monkeypatch.setenv(f"{PREFIX}COUNT", "8")
    assert (Sample().count, Sample.read(PREFIX).count) == (3, 8)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"LISTEN": "50061"}, "I2V_SAMPLE_LISTEN cannot be '50061': it is `host:port`"),
        ({"SHARE": "1"}, "I2V_SAMPLE_SHARE cannot be '1': it is at least 0 and less than 1"),
        ({"SHARE": "nan"}, "I2V_SAMPLE_SHARE cannot be 'nan': it should be a finite number"),
        ({"COUNT": "0"}, "I2V_SAMPLE_COUNT cannot be '0': it is more than 0"),
        ({"COUNT": ""}, "I2V_SAMPLE_COUNT cannot be ''"),
        ({"FAST": "t"}, "I2V_SAMPLE_FAST cannot be 't': it is `true` or `false`"),
        ({"LOG_LEVEL": "LOUD"}, "I2V_SAMPLE_LOG_LEVEL cannot be 'LOUD': it is DEBUG, INFO, WARNING or ERROR"),
        ({"TLS_KEY_FILE": "key.pem"}, "I2V_SAMPLE_TLS_CERT_FILE and I2V_SAMPLE_TLS_KEY_FILE go together"),
        ({"NONSENSE": "1", "COUNT": "0"}, "there is no setting I2V_SAMPLE_NONSENSE"),
        ({"count": "4"}, "there is no setting I2V_SAMPLE_count"),
    ],
)
def test_an_error_names_the_variable_its_value_and_what_is_allowed(variables: dict[str, str], expected: str) -> None:
    assert message(**variables).startswith(expected)


def test_a_variable_of_another_program_is_ignored_unless_a_field_has_its_name() -> None:
    environment = {PREFIX + "OTHER": "1", PREFIX + "COUNT": "5"}
    assert Sample.read(PREFIX, environment, foreign=lambda name: True).count == 5
    with pytest.raises(BadSetting, match="OTHER"):
        Sample.read(PREFIX, environment, foreign=lambda name: name.endswith("COUNT"))


@pytest.mark.parametrize("variables", [{"KEY": f"{SECRET} x"}, {"KEY": SECRET, "KEY_FILE": "a"}, {"NUMBER": SECRET}])
def test_an_error_shows_no_secret(variables: dict[str, str]) -> None:
    assert SECRET not in message(**variables)
    with pytest.raises(ValidationError) as caught:
        Sample.model_validate({"number": SECRET})
    assert SECRET not in str(caught.value)


def test_an_error_about_a_file_shows_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{SECRET} x")
    assert SECRET not in message(KEY_FILE=str(file))


def test_settings_show_no_secret() -> None:
    found = read(KEY=SECRET)
    assert found.key.get_secret_value() == SECRET
    for shown in (repr(found), str(found), str(found.model_dump()), found.model_dump_json(), f"{found.key}"):
        assert SECRET not in shown
