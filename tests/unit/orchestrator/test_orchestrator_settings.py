"""The environment is read once, and an invalid variable is named."""

from pathlib import Path

import pytest

from services.orchestrator.blob_stores import open_blobs
from services.orchestrator.settings import Settings
from services.settings import BadSetting
from tests.support.served_orchestrator import GOLDEN
from tools.made_certificates import a_certificate


def settings(**variables: str) -> Settings:
    return Settings.from_environment({f"I2V_{name}": value for name, value in variables.items()})


@pytest.mark.parametrize(
    ("triton", "slots", "found"),
    [
        ("127.0.0.1:8001", "1", {"triton": (("127.0.0.1:8001",), 1)}),
        ("triton.i2v:8001", "triton=3", {"triton": (("triton.i2v:8001",), 3)}),
        ("", "1", {}),
        ("triton=a:1, triton-14b=b:2", "2", {"triton": (("a:1",), 2), "triton-14b": (("b:2",), 2)}),
        ("triton=a:1,triton-14b=b:2", "triton=2", {"triton": (("a:1",), 2), "triton-14b": (("b:2",), 1)}),
        ("[::1]:8001", "1", {"triton": (("[::1]:8001",), 1)}),
        ("triton-14b=b:2", "triton-14b=0", {"triton-14b": (("b:2",), 0)}),
        ("a:1, b:2", "3", {"triton": (("a:1", "b:2"), 3)}),
        ("triton=a:1,triton-14b=b:2,triton=c:3", "1", {"triton": (("a:1", "c:3"), 1), "triton-14b": (("b:2",), 1)}),
    ],
)
def test_tritons_of_one_profile_or_of_several_by_name(
    triton: str, slots: str, found: dict[str, tuple[tuple[str, ...], int]]
) -> None:
    assert settings(TRITON=triton, TRITON_SLOTS=slots).tritons() == found


@pytest.mark.parametrize(
    "triton",
    [
        "a",
        "a:x",
        "triton=a:1,b:2",
        "nano=a:1",
        "Triton-b=a:1",
        "http://h:8001",
        "triton=grpc://h:8001",
        "h:99999",
        "h:65536",
        "h:0",
        ":8001",
        "h:8001/",
        "::1:8001",
    ],
)
def test_addresses_of_tritons_that_cannot_be_read_are_named(triton: str) -> None:
    with pytest.raises(BadSetting, match=r"I2V_TRITON is .*; it is `host:port`"):
        settings(TRITON=triton)


@pytest.mark.parametrize("triton", ["h:1,h:1", "triton=h:1,triton=h:2,triton=h:1"])
def test_a_triton_that_is_named_twice_is_refused(triton: str) -> None:
    with pytest.raises(BadSetting, match=r"I2V_TRITON is .*; 'h:1' comes twice"):
        settings(TRITON=triton)


@pytest.mark.parametrize("slots", ["-1", "two", "triton=x", "1,2", "triton-14b=1", "triton=1,triton=2"])
def test_slots_that_cannot_be_read_are_named(slots: str) -> None:
    with pytest.raises(BadSetting, match="I2V_TRITON_SLOTS"):
        settings(TRITON_SLOTS=slots)


def test_the_variables_of_providers_the_prompt_writer_and_the_http_process_are_ignored() -> None:
    neighbours = {"PROVIDER_WAVESPEED_KEY": "sk", "PROVIDER_FAL_LISTEN": "h:1", "STUDIO_LISTEN": "h:4"}
    found = settings(**neighbours, PROMPT_LISTEN="h:2", PROMPT_WRITER="h:3")
    assert found == settings(PROMPT_WRITER="h:3")
    with pytest.raises(BadSetting, match="there is no setting I2V_PROVIDER_LIMIT"):
        settings(PROVIDER_LIMIT="wavespeed=3/5")


@pytest.mark.parametrize("url", ["studio.example", "ftp://studio.example", "https://a b", "https://ann@studio.example"])
def test_an_address_of_the_http_process_that_is_none_is_refused(url: str) -> None:
    assert settings(STUDIO_URL="https://studio.example/i2v").studio_url == "https://studio.example/i2v"
    with pytest.raises(BadSetting, match="I2V_STUDIO_URL"):
        settings(STUDIO_URL=url)


def test_authorities_of_providers_are_read_at_the_start_or_named(tmp_path: Path) -> None:
    assert settings().provider_certificates() is None
    cert, _ = a_certificate(tmp_path)
    found = settings(PROVIDER_CA_FILE=str(cert)).provider_certificates()
    assert found is not None and found.current().authorities == cert.read_bytes()
    (tmp_path / "empty").write_text("")
    (tmp_path / "words").write_text("no certificate")
    for wrong in ("empty", "words", "missing"):
        with pytest.raises(BadSetting, match=f"I2V_PROVIDER_CA_FILE names .*{wrong}"):
            settings(PROVIDER_CA_FILE=str(tmp_path / wrong))


@pytest.mark.parametrize("peer", ["PROVIDER", "TRITON"])
def test_a_certificate_for_backends_needs_its_key_and_authorities(tmp_path: Path, peer: str) -> None:
    cert, key = (str(each) for each in a_certificate(tmp_path))
    with pytest.raises(BadSetting, match=f"I2V_{peer}_CERT_FILE and I2V_{peer}_CERT_KEY_FILE go together"):
        settings(**{f"{peer}_CA_FILE": cert, f"{peer}_CERT_FILE": cert})
    with pytest.raises(BadSetting, match=f"I2V_{peer}_CERT_FILE needs I2V_{peer}_CA_FILE"):
        settings(**{f"{peer}_CERT_FILE": cert, f"{peer}_CERT_KEY_FILE": key})
    settings(**{f"{peer}_CA_FILE": cert, f"{peer}_CERT_FILE": cert, f"{peer}_CERT_KEY_FILE": key})


def test_authorities_of_clients_need_a_certificate_of_the_server(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="I2V_TLS_CLIENT_CA_FILE needs I2V_TLS_CERT_FILE"):
        settings(TLS_CLIENT_CA_FILE=str(a_certificate(tmp_path)[0]))


def test_a_successor_may_be_in_another_file_and_must_exist(tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    remote.mkdir()
    card = (GOLDEN / "remote.toml").read_text()

    def of(name: str, vendor: str, successor: str) -> None:
        text = card.replace("remote-text", name).replace('"vendor"', f'"{vendor}"')
        (remote / f"{vendor}.toml").write_text(f'{text}successor = "{successor}"\n' if successor else text)

    def read(providers: str = "one=h:1,two=h:2") -> Settings:
        return settings(MODELS_FILE=str(GOLDEN / "models.toml"), REMOTE_MODELS=str(remote), PROVIDERS=providers)

    of("old", "one", "new")
    of("new", "two", "")
    assert {"old", "new"} <= set(read().catalog_files().load().cards)
    assert "old" in read("one=h:1").catalog_files().load().cards, "the other vendor may be used elsewhere"
    of("old", "one", "newer")
    with pytest.raises(BadSetting, match="'old' has the successor 'newer', which is no card"):
        read().catalog_files().load()


@pytest.mark.parametrize("seconds", ["nan", "inf", "soon"])
def test_a_number_is_a_number(seconds: str) -> None:
    with pytest.raises(BadSetting, match=f"I2V_SILENT_S cannot be '{seconds}'"):
        settings(SILENT_S=seconds)


@pytest.mark.parametrize("seconds", ["-1", "3601"])
def test_the_wait_for_the_database_is_limited(seconds: str) -> None:
    with pytest.raises(
        BadSetting, match=f"I2V_DATABASE_PATIENCE_S cannot be '{seconds}': it is at least 0 and at most 3600"
    ):
        settings(DATABASE_PATIENCE_S=seconds)


@pytest.mark.parametrize(
    "name",
    [
        "PORT",
        "SERVICE_HOST",
        "SERVICE_PORT_GRPC",
        "PORT_50051_TCP_ADDR",
        "API_SERVICE_HOST",
        "API_PORT",
        "API_PORT_1_UDP",
    ],
)
def test_variables_that_kubernetes_sets_for_our_services_are_ignored(name: str) -> None:
    assert settings(**{name: "tcp://10.0.0.1:50051"}) == Settings()


@pytest.mark.parametrize("name", ["SERVICE", "PORTS", "API_SERVICE_HOSTS", "SERVICE_HOST_2"])
def test_a_variable_that_only_resembles_those_of_kubernetes_is_an_error(name: str) -> None:
    with pytest.raises(BadSetting, match=f"there is no setting I2V_{name}"):
        settings(**{name: "10.0.0.1"})


def test_the_variables_of_the_client_and_the_tests_are_ignored() -> None:
    assert settings(SERVER="h:1", KEY="secret", USER="me", TEST_DATABASE_URL="postgresql://") == Settings()


def test_settings_of_s3_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    for variables, wrong in (
        ({"S3_ENCRYPTION": "sse-kms"}, "I2V_S3_ENCRYPTION=sse-kms and I2V_S3_KMS_KEY go together"),
        ({"S3_KMS_KEY": "k"}, "go together"),
        ({"S3_ENCRYPTION": "sse-kms", "S3_KMS_KEY": "k", "S3_SECURE": "false"}, "needs TLS"),
        ({"S3_ENCRYPTION": "sse-c"}, "I2V_S3_ENCRYPTION"),
        ({"S3_KMS_KEY": "k\n"}, "printable ASCII"),
        ({"S3_PUBLIC_URL": "s3.example.com"}, "I2V_S3_PUBLIC_URL is `https://host`"),
        ({"S3_PUBLIC_URL": "https://user:secret@s3.example.com"}, "I2V_S3_PUBLIC_URL is `https://host`"),
        ({"S3_CA_FILE": str(tmp_path / "none")}, "I2V_S3_CA_FILE names .*cannot be read"),
    ):
        with pytest.raises(BadSetting, match=wrong) as caught:
            settings(**variables)
        assert "secret" not in str(caught.value)
    assert settings(S3_ENCRYPTION="sse-kms", S3_KMS_KEY="arn:aws:kms:k").s3_kms_key == "arn:aws:kms:k"


def test_settings_of_an_old_store_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    main = {"BLOBS": "s3", "S3_ENDPOINT": "s3:443", "S3_ACCESS_KEY": "access", "S3_SECRET_KEY": "secret"}
    old = {f"BLOBS_OLD_{name}": value for name, value in main.items() if name != "BLOBS"} | {"BLOBS_OLD": "s3"}
    for variables, wrong in (
        ({"BLOBS_OLD": "tape"}, "I2V_BLOBS_OLD cannot be"),
        ({"BLOBS_OLD": "s3"}, "I2V_BLOBS_OLD=s3 needs I2V_BLOBS_OLD_S3_ENDPOINT"),
        ({"BLOBS_OLD": "local"}, "names the same store"),
        (main | old, "names the same store"),
        (old | {"BLOBS_OLD_S3_PUBLIC_URL": "s3"}, "I2V_BLOBS_OLD_S3_PUBLIC_URL is `https://host`"),
        (old | {"BLOBS_OLD_S3_CA_FILE": str(tmp_path / "none")}, "I2V_BLOBS_OLD_S3_CA_FILE names"),
    ):
        with pytest.raises(BadSetting, match=wrong) as caught:
            settings(**variables)
        assert "secret" not in str(caught.value)
    assert settings(**main | old | {"BLOBS_OLD_S3_BUCKET": "other"}).blobs_old == "s3"
    assert settings(BLOBS_OLD="local", BLOBS_OLD_FOLDER="/old").blobs_old_folder == "/old"
    same = settings(DATA=str(tmp_path), BLOBS_OLD="local", BLOBS_OLD_FOLDER=str(tmp_path / "x" / ".." / "blobs"))
    with pytest.raises(BadSetting, match="is the folder of I2V_BLOBS"):
        open_blobs(same)
