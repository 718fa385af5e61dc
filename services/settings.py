"""Reads the settings of a process from its environment, once and checked.

A process declares a subclass of `ProcessSettings`. Each field is one variable: the prefix of the process and the
field's name in capitals. Its type says what is allowed, and the docstring below it what it means;
`services.settings_help` and `tools.settings_page` show that and the default.
"""

import logging
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from services.certificates.certificate_files import (
    NO_FILE,
    CertificateFiles,
    CertificateMeter,
    NamedFile,
    UnusableCertificate,
)
from services.known_secrets import remember, remember_password

YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
KEY = re.compile(r"[!-~]{1,4096}")
WRONG_KEY = "characters that no key has: a key is up to 4096 printable ASCII characters without spaces"
BOUNDS = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}


class BadSetting(Exception):
    """A setting cannot be used. The message names its variable and what is allowed, and never holds a secret."""


def matching(pattern: str, allowed: str) -> AfterValidator:
    """Returns a validator of texts that match a pattern as a whole; an error says what is allowed instead."""
    expression = re.compile(pattern)

    def validate(text: str) -> str:
        if not expression.fullmatch(text):
            raise ValueError(f"it is {allowed}")
        return text

    return AfterValidator(validate)


def _switch(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.lower() not in YES + NO:
        raise ValueError("it is `true` or `false`")
    return value.lower() in YES


def _level(name: str) -> str:
    levels = logging.getLevelNamesMapping()
    if name.upper() not in levels:
        raise ValueError("it is DEBUG, INFO, WARNING or ERROR")
    return name


def _key(secret: SecretStr) -> SecretStr:
    if secret and not KEY.fullmatch(secret.get_secret_value()):
        raise ValueError(f"it has {WRONG_KEY}")
    return secret


Switch = Annotated[bool, BeforeValidator(_switch)]
LogLevel = Annotated[str, AfterValidator(_level)]
Key = Annotated[SecretStr, AfterValidator(_key)]
"""A secret. If its class also has the field `<name>_file`, `read` takes it from that file instead."""
ListenAddress = Annotated[str, matching(r"\S+:\d{1,5}", "`host:port`")]


class EnvironmentSource(PydanticBaseSettingsSource):
    """The variables that belong to one class of settings; a secret comes from its file if the file is given."""

    def __init__(self, settings: type[BaseSettings], environment: Mapping[str, str], prefix: str) -> None:
        super().__init__(settings)
        self._environment = environment
        self._prefix = prefix

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[str | None, str, bool]:
        """Returns the text of a field or None, the field's name, and that the text is not JSON. Raises BadSetting."""
        variable = self._prefix + field_name.upper()
        value = self._environment.get(variable)
        file = self._environment.get(f"{variable}_FILE")
        if file and f"{field_name}_file" in self.settings_cls.model_fields:
            if value:
                raise BadSetting(f"{variable} and {variable}_FILE are both given; give one of them")
            value = read_key(f"{variable}_FILE", file)
        return value, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Returns the texts of all fields that are given. Raises BadSetting."""
        values = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in values.items() if value is not None}


class EnvironmentSettings(BaseSettings):
    """Settings that are read from variables with one prefix."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Makes the constructor take its arguments alone; only `read` looks at an environment."""
        return (init_settings,)

    @classmethod
    def read(
        cls,
        prefix: str,
        environment: Mapping[str, str] | None = None,
        foreign: Callable[[str], object] = lambda name: False,
    ) -> Self:
        """Reads the variables with a prefix, by default of this process's environment.

        `foreign` says whether a variable without a field belongs to another program and is ignored. Raises BadSetting
        at any other variable without a field, and at a value that cannot be used.
        """
        found = os.environ if environment is None else environment
        own = {prefix + name.upper() for name in cls.model_fields}
        given = (name for name in found if name.startswith(prefix) and name not in own)
        if unknown := sorted(name for name in given if not foreign(name)):
            raise BadSetting(f"there is no setting {unknown[0]}")
        try:
            settings = cls(**EnvironmentSource(cls, found, prefix)())
        except ValidationError as error:
            raise BadSetting(cls._message(prefix, error)) from None
        for value in dict(settings).values():
            if isinstance(value, SecretStr):
                remember(value.get_secret_value())
            elif isinstance(value, str):
                remember_password(value)
        settings.check(prefix)
        return settings

    def check(self, prefix: str) -> None:
        """Raises BadSetting for values that do not go together."""

    @classmethod
    def _message(cls, prefix: str, error: ValidationError) -> str:
        """Returns a line about the first error."""
        found = error.errors(include_url=False)[0]
        name = str(found["loc"][0])
        field = cls.model_fields[name]
        limits = [
            f"{word} {getattr(each, bound)}"
            for each in field.metadata
            for bound, word in BOUNDS.items()
            if hasattr(each, bound)
        ]
        if found["type"].startswith(("greater_than", "less_than")):
            what = f"it is {' and '.join(limits)}"
        elif found["type"] == "value_error":
            what = str(found["ctx"]["error"])
        else:
            what = found["msg"].replace("Input", "it", 1)
        value = "used" if field.annotation is SecretStr else repr(found["input"])
        return f"{prefix}{name.upper()} cannot be {value}: {what}"


class ProcessSettings(EnvironmentSettings):
    """What the settings of every process have in common."""

    health_listen: Annotated[str, matching(r"(\S+:\d{1,5})?", "`host:port`, or empty")] = ""
    """`host:port` where `/livez`, `/readyz` and `/startupz` are answered, in plaintext, for Kubernetes' probes; see
    [kubernetes.md](kubernetes.md#probes). Empty: nowhere."""
    tls_cert_file: str = ""
    """Certificate chain of the gRPC server, PEM. Empty: plaintext. Goes with the key."""
    tls_key_file: str = ""
    """Key of the certificate, PEM."""
    tls_client_ca_file: str = ""
    """Certificate authorities of clients, PEM: each client must then show a certificate of theirs. Empty: clients show
    none. Needs the server's certificate."""
    log_level: LogLevel = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""
    log_json: Switch = True
    """JSON lines on stderr; otherwise plain text."""

    def check(self, prefix: str) -> None:
        """Raises BadSetting for values that do not go together."""
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            raise BadSetting(f"{prefix}TLS_CERT_FILE and {prefix}TLS_KEY_FILE go together")
        if self.tls_client_ca_file and not self.tls_cert_file:
            raise BadSetting(f"{prefix}TLS_CLIENT_CA_FILE needs {prefix}TLS_CERT_FILE")
        self.server_certificate(prefix=prefix)

    def server_certificate(self, meter: CertificateMeter | None = None, *, prefix: str = "") -> CertificateFiles | None:
        """Reads the server's certificate, and the authorities of clients; None: plaintext. Raises BadSetting."""
        if not self.tls_cert_file:
            return None
        return read_certificates(
            "server",
            cert=NamedFile(f"{prefix}TLS_CERT_FILE", self.tls_cert_file),
            key=NamedFile(f"{prefix}TLS_KEY_FILE", self.tls_key_file),
            ca=NamedFile(f"{prefix}TLS_CLIENT_CA_FILE", self.tls_client_ca_file),
            meter=meter,
        )

    def client_certificate(
        self, prefix: str, ca_file: str, cert_file: str, key_file: str, meter: CertificateMeter | None = None
    ) -> CertificateFiles | None:
        """Reads what a client of TLS needs: whom it trusts, and the certificate that it shows, if it has one.

        The settings are `<prefix>_CA_FILE`, `_CERT_FILE` and `_CERT_KEY_FILE`. None: plaintext. Raises BadSetting.
        """
        if bool(cert_file) != bool(key_file):
            raise BadSetting(f"{prefix}_CERT_FILE and {prefix}_CERT_KEY_FILE go together")
        if cert_file and not ca_file:
            raise BadSetting(f"{prefix}_CERT_FILE needs {prefix}_CA_FILE")
        if not ca_file:
            return None
        return read_certificates(
            "client",
            cert=NamedFile(f"{prefix}_CERT_FILE", cert_file or self.tls_cert_file),
            key=NamedFile(f"{prefix}_CERT_KEY_FILE", key_file or self.tls_key_file),
            ca=NamedFile(f"{prefix}_CA_FILE", ca_file),
            meter=meter,
        )


def is_of_kubernetes(prefix: str, name: str) -> bool:
    """Returns whether Kubernetes adds the variable by itself, for a Service whose name begins like the prefix."""
    form = rf"{prefix}(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP)(_\w+)?)?)"
    return re.fullmatch(form, name) is not None


def read_key(variable: str, file: str) -> str:
    """Reads a secret from the file that a variable names. Raises BadSetting."""
    try:
        secret = Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise BadSetting(f"{variable} names {file}, which cannot be read: {why}") from None
    if not secret:
        raise BadSetting(f"{variable} names {file}, which is empty")
    if not KEY.fullmatch(secret):
        raise BadSetting(f"{variable} names {file}, which has {WRONG_KEY}")
    remember(secret)
    return secret


def read_certificates(
    kind: str,
    *,
    cert: NamedFile = NO_FILE,
    key: NamedFile = NO_FILE,
    ca: NamedFile = NO_FILE,
    meter: CertificateMeter | None = None,
) -> CertificateFiles:
    """Reads files that are read again when they are replaced; see CertificateFiles. Raises BadSetting."""
    try:
        return CertificateFiles(kind, cert=cert, key=key, ca=ca, meter=meter)
    except UnusableCertificate as error:
        raise BadSetting(str(error)) from None
