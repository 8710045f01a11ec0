"""Who may talk to the page of ``maquette review``, and what nobody can make it do."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from PIL import Image

from tests.maquette.review.conftest import Review, view


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with five photographs; each test that changes a mask has one of its own."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "photos").mkdir()
    for index in range(5):
        view(index).save(folder / "photos" / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def local(home: Path) -> Iterator[Review]:
    """A review without a service: what it refuses, it refuses by itself."""
    started = Review(home, ("photos", "-o", "masks", "--server", "127.0.0.1:9", "--patience", "0", "--timeout", "2"))
    yield started
    assert "0 accepted, 0 rejected, 5 undecided" in started.end()


def test_only_who_has_the_token_is_answered_and_only_here(local: Review, home: Path) -> None:
    token, port = local.address.partition("token=")[2], int(local.origin.rpartition(":")[2])
    with httpx.Client(base_url=local.origin) as stranger:
        for path in (
            "/",
            "/api/set",
            "/assets/review.js",
            "/api/photographs/0/thumbnail",
            "/?token=",
            f"/?token={token[:-1]}x",
        ):
            answer = stranger.get(path)
            assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED"), path
            assert token not in answer.text
        assert stranger.get(f"/api/set?token={token}").status_code == 401, "the token opens the page and nothing else"
        cookie = f"maquette-review-{port}=".encode() + b"\xff\xfe"
        assert stranger.get("/", headers={b"cookie": cookie}).status_code == 401
        opened = stranger.get(local.address)
        assert (opened.status_code, opened.headers["location"]) == (303, "/")
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(opened.headers["set-cookie"].split("; "))
        assert stranger.get("/").status_code == 200

    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "[::1]", ""):
        assert local.http.get("/api/set", headers={"host": host}).status_code in (400, 403), (
            "a name that leads here is no way in"
        )

    sent = {"verdict": "accepted"}
    for headers in (
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": f"https{local.origin[4:]}"},
        {"sec-fetch-site": "cross-site"},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
    ):
        answer = local.http.post(
            "/api/photographs/0/verdict", content=json.dumps(sent), headers={"content-type": "application/json", **headers}
        )
        assert answer.status_code == 403, headers
    assert local.set()["items"][0]["verdict"] == ""
    assert not (home / "masks" / "review.json").exists()

    listening = [one for one in psutil.Process(local.process.pid).net_connections() if one.status == psutil.CONN_LISTEN]
    assert [one.laddr for one in listening] == [("127.0.0.1", port)]


def test_every_answer_has_the_policy(local: Review) -> None:
    for path in ("/", "/assets/review.js", "/api/set", "/api/photographs/0/thumbnail", "/nothing"):
        headers = local.http.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert not {"unsafe", "*", "http", "data:"} & set(policy.replace("-", " ").replace(";", " ").split())
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers


def test_no_path_leads_out_of_the_set(local: Review, home: Path) -> None:
    (home / "secret.png").write_bytes((home / "photos" / "0.png").read_bytes())
    port = int(local.origin.rpartition(":")[2])
    cookie = "; ".join(f"{name}={value}" for name, value in local.http.cookies.items())
    for path in (
        "/../secret.png",
        "/assets/../review.html",
        "/assets/..%2f..%2fguard.py",
        "/assets/%2e%2e/%2e%2e/page/guard.py",
        "/assets//etc/passwd",
        "/api/photographs/../../secret.png/thumbnail",
        "/api/photographs/..%2f..%2fsecret.png/thumbnail",
        "/api/photographs/-1/thumbnail",
        "/api/photographs/5/thumbnail",
        "/api/photographs/0/thumbnail/x",
        "/api/photographs/99999999999999999999/thumbnail",
        "/api/photographs/0/photograph/99/0/0",
        "/api/photographs/0/photograph/0/0/9999",
        "/api/photographs/0/..%2f..%2fx/0/0/0",
    ):
        # By hand: a client would put the path in order first.
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(
                f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n".encode()
            )
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        status = int(answer.split(b" ", 2)[1])
        assert status in (404, 422), path
        assert b"application/problem+json" in answer, path


def test_bodies_that_are_no_change_are_refused(local: Review, home: Path) -> None:
    def sent(content: bytes | Callable[[], object], path: str = "photographs/0/marks") -> int:
        headers = {"content-type": "application/json"}
        answer = local.http.post(f"/api/{path}", content=content() if callable(content) else content, headers=headers)
        assert answer.headers["content-type"] == "application/problem+json"
        return answer.status_code

    assert sent(b"x" * 300_000) == 413
    assert sent(lambda: (b"[" * 65536 for _ in range(100))) == 413, "also without a length"
    for nonsense in (b"[" * 100_000, b"[]", b"{", b"\xff", b'{"mark": 1}', b'{"mark": {"kind": "point"}}', b"null"):
        assert sent(nonsense) == 422, nonsense[:20]

    def mark(**given: object) -> str:
        whole = {"kind": "paint", "mark": "object", "vertices": [[1, 1]], "width": 4} | given
        return local.refused("photographs/0/marks", 422, mark=whole)

    assert "kind" in mark(kind="spray")
    assert "object or background" in mark(mark="perhaps")
    for vertices in (
        [],
        [[1]],
        [[1, 2, 3]],
        [["1", 2]],
        [[True, 2]],
        [[-1, 2]],
        [[1, 201]],
        [[1, None]],
        "ab",
        [[1, 1]] * 5000,
    ):
        assert mark(vertices=vertices)
    for width in (0, -1, 1e9, None, "4"):
        assert "width" in mark(width=width)
    assert sent(b'{"mark": {"kind": "paint", "mark": "object", "vertices": [[NaN, 1]], "width": 4}}') == 422
    assert sent(b'{"mark": {"kind": "paint", "mark": "object", "vertices": [[1e999, 1]], "width": 4}}') == 422
    assert sent(b'{"verdict": "perhaps"}', "photographs/0/verdict") == 422
    assert local.refused("photographs/0/undo", 422) == "There is nothing to undo."
    assert local.http.post("/api/nothing", json={}).json()["code"] == "NOT_FOUND"
    assert local.http.get("/api/rest").json()["code"] == "METHOD_NOT_ALLOWED"
    assert not (home / "masks" / "0.png.png").exists()


def test_a_mask_of_another_size_is_not_painted(local: Review, home: Path) -> None:
    masks = {index: home / "masks" / f"{index}.png.png" for index in (1, 2)}
    masks[1].parent.mkdir(exist_ok=True)
    Image.new("L", (10, 10)).save(masks[1])
    before = masks[1].read_bytes()
    said = local.refused("photographs/1/marks", 422, mark={"kind": "paint", "mark": "object", "vertices": [[1, 1]], "width": 4})
    assert "10 x 10" in said and "336 x 208" in said
    assert masks[1].read_bytes() == before
    masks[2].write_bytes(b"no picture")
    said = local.refused("photographs/2/marks", 500, mark={"kind": "paint", "mark": "object", "vertices": [[1, 1]], "width": 4})
    assert "cannot be read" in said
    reasons = {item["name"]: item["reasons"] for item in local.set()["items"]}
    assert set(reasons) == {f"{index}.png" for index in range(5)}


def test_a_service_that_is_away_is_said(local: Review, home: Path) -> None:
    mask = home / "masks" / "3.png.png"
    point = {"kind": "point", "mark": "object", "vertices": [[1, 1]]}
    assert "127.0.0.1:9" in local.refused("photographs/3/marks", 502, mark=point)
    assert not mask.exists()
    painted = {"kind": "paint", "mark": "object", "vertices": [[60, 100]], "width": 20}
    assert local.post("photographs/3/marks", mark=painted)["item"]["undo"] == 1, "the brush needs none"
    assert mask.exists()
