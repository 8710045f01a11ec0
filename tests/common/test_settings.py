"""Settings are read once, checked, and a wrong one ends the process with a sentence that names it."""

from __future__ import annotations

import ipaddress
import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.common import settings, sources
from services.common.settings import SettingsError
from tests.serving import ROOT


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MAQUETTE_")]:
        monkeypatch.delenv(name)


WRONG = {
    "HOST": "museum.example",
    "HTTP_PORT": "http",
    "GRPC_PORT": "70000",
    "PRECISION": "int16",
    "THREADS": "two",
    "MAX_BATCH": "0",
    "MAX_QUEUE": "-1",
    "MAX_MEBIBYTES": "0",
    "MAX_MEGAPIXELS": "1e9",
    "MEBIBYTES_IN_FLIGHT": "0",
    "MEGAPIXELS_IN_FLIGHT": "0",
    "MAX_CONNECTIONS": "0",
    "MAX_STREAMS": "0",
    "STREAM_WINDOW": "0",
    "WAIT_SECONDS": "0",
    "IDLE_SECONDS": "0",
    "TIMEOUT_SECONDS": "0",
    "CONNECTION_AGE_SECONDS": "0",
    "CONNECTION_GRACE_SECONDS": "0",
    "SOURCES": "https://museum.example/page",
    "MAX_FETCHES": "0",
    "DRAIN_SECONDS": "-1",
    "API_KEY": "fifteen letters",
    "API_KEYS_FILE": "/nowhere/keys.toml",
    "CORS_ORIGINS": "https://museum.example/page",
    "TLS_CERTIFICATE": "/nowhere/certificate.pem",
    "TLS_KEY": "/nowhere/key.pem",
    "LOG_LEVEL": "LOUD",
    "LOG_FORMAT": "xml",
}
# A folder or version that is not there may yet be mounted; NOT_READY and the log tell.
ANY_VALUE = {"MODELS", "MODEL_VERSION", "MASK_MODEL"}


def test_every_variable_is_tried() -> None:
    assert WRONG.keys() | ANY_VALUE == {name.upper() for name in settings.Settings.model_fields}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"MAQUETTE_{name}", WRONG[name])
    with pytest.raises(SettingsError, match=f"MAQUETTE_{name}: "):
        settings.load()


def test_every_wrong_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAQUETTE_THREADS", "none")
    monkeypatch.setenv("MAQUETTE_LOG_LEVEL", "LOUD")
    with pytest.raises(SettingsError, match=r"MAQUETTE_THREADS: .*; MAQUETTE_LOG_LEVEL: "):
        settings.load()


def test_a_name_that_is_no_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt limit would otherwise silently not hold. No error: Kubernetes makes variables out of services' names."""
    monkeypatch.setenv("MAQUETTE_MAX_MEGABYTES", "8")
    monkeypatch.setenv("MAQUETTE_MAX_MEBIBYTES", "8")
    assert settings.load().unknown_variables() == ["MAQUETTE_MAX_MEGABYTES"]


@pytest.mark.parametrize(
    "wrong",
    [
        "*",
        "*.example.org",
        "ftp://example.org",
        "example.org/a",
        "example.org/",
        "me@example.org",
        "example.org?a",
        "example.org#a",
        "example.org:port",
        "example.org:99999",
        "example.org=",
        "example.org=10.0.0.0/33",
        "example.org=10.0.0.1/8",
        "example.org=inside",
        "exa mple.org",
        "a.example.org,,b.example.org",
        "-example.org",
        "https://",
        "example.org=10.0.0.0/8,EXAMPLE.org:443",
    ],
)
def test_what_is_no_source(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("MAQUETTE_SOURCES", wrong)
    with pytest.raises(
        SettingsError, match=r"MAQUETTE_SOURCES: `.*` is (no source|listed twice); it should list hosts such as"
    ):
        settings.load()


def test_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = (
        "images.example.org, Images.Example.org:8443,http://iiif.lan=10.1.0.0/16,http://10.1.2.3:8080,bücher.example,[::1]:444"
    )
    monkeypatch.setenv("MAQUETTE_SOURCES", listed)
    found = [(source.scheme, source.host, source.port, str(source.network)) for source in settings.load().sources]
    assert found == [
        ("https", "images.example.org", 443, "None"),
        ("https", "images.example.org", 8443, "None"),
        ("http", "iiif.lan", 80, "10.1.0.0/16"),
        ("http", "10.1.2.3", 8080, "10.1.2.3/32"),
        ("https", "xn--bcher-kva.example", 443, "None"),
        ("https", "::1", 444, "::1/128"),
    ]


@pytest.mark.parametrize(
    ("address", "permitted"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("::ffff:93.184.216.34", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("192.0.2.1", False),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("::127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2001:0:5ef5:79fb:0:0:80ff:fffe", False),
    ],
)
def test_addresses_that_only_a_setting_permits(address: str, permitted: bool) -> None:
    public, *private = sources.read("images.example.org,iiif.lan=10.0.0.0/8,localhost=127.0.0.1")
    assert public.permits(ipaddress.ip_address(address)) is permitted
    inside = [source.permits(ipaddress.ip_address(address)) for source in private]
    assert inside == [address == "10.1.2.3", address in ("127.0.0.1", "::ffff:127.0.0.1")]


def test_a_certificate_wants_its_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "certificate.pem").touch()
    monkeypatch.setenv("MAQUETTE_TLS_CERTIFICATE", str(tmp_path / "certificate.pem"))
    with pytest.raises(SettingsError, match="MAQUETTE_TLS_KEY"):
        settings.load()


def test_defaults_and_empty_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAQUETTE_MAX_QUEUE", "")
    loaded = settings.load()
    assert loaded.api_key is None
    assert loaded.max_queue == 64
    assert loaded.limits.max_bytes == 64 * 2**20
    assert loaded.limits.max_pixels == 120_000_000
    assert loaded.ports("embed_latent") == (3003, 50053)


def test_addresses_of_both_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAQUETTE_HOST", "::")
    assert settings.url_host(settings.load().host) == "[::]"
    assert settings.url_host("0.0.0.0") == "0.0.0.0"


def test_the_key_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAQUETTE_API_KEY", "s3cret, and long enough")
    assert "s3cret" not in repr(settings.load())


def test_an_empty_key_does_not_open_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `export MAQUETTE_API_KEY=$(a command that failed)` leaves it."""
    monkeypatch.setenv("MAQUETTE_API_KEY", "")
    with pytest.raises(SettingsError, match="MAQUETTE_API_KEY: is empty"):
        settings.load()


def test_ports_and_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"HTTP_PORT": "80", "THREADS": "5"}.items():
        monkeypatch.setenv(f"MAQUETTE_{name}", value)
    loaded = settings.load()
    assert loaded.ports("classify") == (80, 50051)
    assert loaded.lanes == 5


@pytest.mark.parametrize("arguments", [["classify"], []])
def test_the_command_ends_with_one_sentence_and_status_2(arguments: list[str]) -> None:
    environment = os.environ | {"MAQUETTE_MAX_QUEUE": "many"}
    ended = subprocess.run(
        [sys.executable, "-m", "services", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("maquette: MAQUETTE_MAX_QUEUE: Input should be a valid integer")


def test_the_command_names_the_services_it_knows() -> None:
    command = [sys.executable, "-m", "services", "sculpt"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert "classify" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_one_pair_of_ports_is_not_for_four_services() -> None:
    environment = os.environ | {"MAQUETTE_HTTP_PORT": "8080"}
    command = [sys.executable, "-m", "services"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert "MAQUETTE_HTTP_PORT" in ended.stderr
