"""Who may ask: keys with names in a file that changes while the service runs, and web pages of other origins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests import tiny
from tests.serving import Refused, Served, on_both, until

GOOD = tiny.picture()
SINGLE, CATALOGUE, INTAKE, NEXT = (
    "the single key of old",
    "key of the catalogue",
    "key of the intake desk",
    "next key of intake",
)
PAGE = "https://museum.example"


class File:
    """A file that Kubernetes would have mounted from a Secret: a link to a folder of the moment, swapped for the next one."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self.path = folder / "now" / "keys.toml"

    def write(self, content: str) -> None:
        self._count += 1
        version = self._folder / f"version-{self._count}"
        version.mkdir()
        (version / "keys.toml").write_text(content)
        fresh = self._folder / "fresh"
        fresh.symlink_to(version)
        fresh.rename(self._folder / "now")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> File:
    keys = File(tmp_path_factory.mktemp("keys"))
    keys.write(f'# who may ask\ncatalogue = "{CATALOGUE}"\n')
    return keys


@pytest.fixture(scope="module")
def served(serve: Callable[..., Served], file: File) -> Served:
    return serve("classify", api_key=SINGLE, api_keys_file=file.path, cors_origins=f"{PAGE}, https://b.example").until_ready()


def allowed(served: Served, key: str, transport: str = "http") -> bool:
    try:
        return bool(served.call(transport, GOOD, headers={"x-api-key": key}))
    except Refused as refused:
        assert refused.code == "UNAUTHENTICATED"
        return False


@on_both
def test_who_asked_is_in_the_log_by_name(served: Served, transport: str) -> None:
    for key, name in ((CATALOGUE, "catalogue"), (SINGLE, "default")):
        id_ = f"{transport}-{name}"
        served.call(transport, GOOD, headers={"authorization": f"Bearer {key}", "x-request-id": id_})
        until(lambda id_=id_: any(line.get("request_id") == id_ for line in served.log_lines), lambda: served.log)
        [line] = [line for line in served.log_lines if line.get("request_id") == id_]
        assert line["caller"] == name
    assert not allowed(served, "key of nobody at all", transport)
    assert CATALOGUE not in served.log and SINGLE not in served.log


def test_the_file_is_read_again(served: Served, file: File) -> None:
    assert allowed(served, CATALOGUE) and not allowed(served, INTAKE)
    file.write(f'catalogue = "{CATALOGUE}"\nintake = "{INTAKE}"\n')
    until(lambda: allowed(served, INTAKE), lambda: "the new key is not taken")
    assert allowed(served, CATALOGUE) and allowed(served, SINGLE)
    file.write(f'intake = "{NEXT}"\n')
    until(lambda: allowed(served, NEXT), lambda: "the new key is not taken")
    assert not allowed(served, INTAKE) and not allowed(served, CATALOGUE) and allowed(served, SINGLE)
    wrong = (f'intake = "{NEXT}', 'intake = "short"', '"a name" = "0123456789abcdef"', f'a = "{NEXT}"\nb = "{NEXT}"')
    for number, content in enumerate(wrong, 1):
        file.write(content)
        said = "the file of keys is wrong; those read before stay"
        until(
            lambda said=said, number=number: (
                allowed(served, NEXT) and sum(line["event"] == said for line in served.log_lines) == number
            ),
            lambda: served.log,
        )
    assert allowed(served, SINGLE)
    assert NEXT not in served.log


@pytest.mark.parametrize("content", ["", "a = 1", 'default = "0123456789abcdef"', "no toml", 'a = "fifteen letters"'])
def test_a_wrong_file_ends_the_process_at_start(serve: Callable[..., Served], tmp_path: Path, content: str) -> None:
    (tmp_path / "keys.toml").write_text(content)
    process = serve("classify", api_keys_file=tmp_path / "keys.toml")
    process.process.wait(60)
    assert process.process.returncode == 2
    assert "MAQUETTE_API_KEYS_FILE: " in process.log


def test_web_pages_of_named_origins_may_ask(served: Served) -> None:
    """A preflight has no key; the answer that follows it has one, and is read by the page."""
    asked = {
        "origin": PAGE,
        "access-control-request-method": "POST",
        "access-control-request-headers": "x-api-key,content-type",
    }
    preflight = served.http.options(served.kind.noun, headers=asked)
    assert preflight.status_code == httpx.codes.OK
    assert preflight.headers["access-control-allow-origin"] == PAGE
    assert "x-api-key" in preflight.headers["access-control-allow-headers"]
    answer = served.http.post(served.kind.noun, content=GOOD, headers={"origin": PAGE, "x-api-key": SINGLE})
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "x-maquette-answer" in answer.headers["access-control-expose-headers"].lower()
    refused = served.http.post(served.kind.noun, content=GOOD, headers={"origin": PAGE})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, PAGE)


def test_other_pages_may_not(served: Served, running: dict[str, Served]) -> None:
    asked = {"origin": "https://elsewhere.example", "access-control-request-method": "POST"}
    assert "access-control-allow-origin" not in served.http.options(served.kind.noun, headers=asked).headers
    unset = running["classify"].http.options(served.kind.noun, headers=asked | {"origin": PAGE})
    assert unset.status_code == httpx.codes.METHOD_NOT_ALLOWED
    assert "access-control-allow-origin" not in unset.headers
