"""Secrets in settings that cannot be used: no message quotes one."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from services.orchestrator.settings import Settings as OrchestratorSettings
from services.providers.prompt.settings import Settings as PromptSettings
from services.providers.settings import Settings as ProviderSettings
from services.settings import BadSetting, ProcessSettings
from services.studio.settings import Settings as StudioSettings

SECRET = "Zq7hunter2Zq7"
CLASSES: list[type[ProcessSettings]] = [OrchestratorSettings, ProviderSettings, PromptSettings, StudioSettings]
FIELDS = [
    (each, name)
    for each in CLASSES
    for name, field in each.model_fields.items()
    if field.annotation is SecretStr or name == "database_url"
]


def test_every_process_but_the_one_without_secrets_has_some() -> None:
    assert {each for each, name in FIELDS} == set(CLASSES) - {StudioSettings}


@pytest.mark.parametrize(("settings", "name"), FIELDS)
@pytest.mark.parametrize(
    "wrong", [f"with space {SECRET}", f"{SECRET}\n{SECRET}", f"ä{SECRET}", f"http://u:{SECRET}@[x"]
)
def test_a_secret_that_cannot_be_used_is_not_quoted(
    settings: type[ProcessSettings], name: str, wrong: str, tmp_path: Path
) -> None:
    variable = f"I2V_{name.upper()}"
    (tmp_path / "file").write_text(wrong)
    for environment in ({variable: wrong}, {f"{variable}_FILE": str(tmp_path / "file")}):
        try:
            read = settings.read("I2V_", environment)
        except BadSetting as error:
            assert SECRET not in str(error)
        else:
            assert SECRET not in repr(getattr(read, name)) or name == "database_url"
