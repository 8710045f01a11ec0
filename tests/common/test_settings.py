"""Settings are read once, checked, and a wrong one ends the process with a sentence that names it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.common import settings
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
