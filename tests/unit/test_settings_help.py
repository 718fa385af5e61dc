"""The help of each process."""

from collections.abc import Callable

import pytest

from services.orchestrator import __main__ as orchestrator
from services.orchestrator.settings import Settings
from services.providers import __main__ as provider
from services.providers.prompt import __main__ as prompt_writer
from services.providers.prompt.settings import Settings as PromptWriterSettings
from services.providers.settings import Settings as ProviderSettings
from services.settings import ProcessSettings
from services.settings_help import described
from services.studio import __main__ as studio
from services.studio.settings import Settings as StudioSettings

MAINS = [orchestrator.main, provider.main, prompt_writer.main, studio.main]


@pytest.mark.parametrize("settings", [Settings, ProviderSettings, PromptWriterSettings, StudioSettings])
def test_every_setting_has_a_meaning_of_whole_sentences(settings: type[ProcessSettings]) -> None:
    meanings = {name: meaning for name, _, meaning in described(settings)}
    assert set(meanings) == {name.upper() for name in settings.model_fields}
    assert [name for name, meaning in meanings.items() if not meaning.endswith(".") or len(meaning) < 8] == []


@pytest.mark.parametrize(
    ("main", "arguments", "prefix", "settings"),
    [
        (orchestrator.main, ["--help"], "I2V_", Settings),
        (orchestrator.main, ["worker", "--help"], "I2V_", Settings),
        (provider.main, ["--help"], "I2V_PROVIDER_<VENDOR>_", ProviderSettings),
        (provider.main, ["fal", "--help"], "I2V_PROVIDER_FAL_", ProviderSettings),
        (prompt_writer.main, ["--help"], "I2V_PROMPT_", PromptWriterSettings),
        (studio.main, ["--help"], "I2V_STUDIO_", StudioSettings),
    ],
)
def test_help_lists_every_variable_with_its_default_and_a_sentence(
    main: Callable[[list[str]], int],
    arguments: list[str],
    prefix: str,
    settings: type[ProcessSettings],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(arguments) == 0
    text = capsys.readouterr().out
    for name, default, _ in described(settings):
        shown = default if default == "needed" else f"default: {default}"
        assert f"\n  {prefix}{name} ({shown})\n      " in text
    assert "](" not in text, "a link"
    assert all(len(line) <= 120 for line in text.splitlines())


def test_help_shows_no_value_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("I2V_PROVIDER_FAL_KEY", "sk-very-secret")
    monkeypatch.setenv("I2V_PROVIDER_FAL_NONSENSE", "1")
    assert provider.main(["fal", "--help"]) == 0
    assert "sk-very-secret" not in capsys.readouterr().out


@pytest.mark.parametrize("main", MAINS)
def test_a_wrong_call_gets_the_usage(main: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nonsense"]) == 2
    assert capsys.readouterr().err.startswith("usage: python -m services.")
