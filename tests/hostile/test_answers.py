"""Every answer of the process is problem+json or what was asked for: the small ones of the issue, over HTTP."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable

import httpx
import pytest

from tests.hostile.callers import http1
from tests.hostile.callers.both import problem
from tests.hostile.watch.pod import KEY, PHOTOGRAPH, Pod
from tests.serving import read

JSON = {"content-type": "application/json"}


@pytest.fixture(params=["remove_background", "embed_latent", "classify", "cluster_assign"])
def any_pod(request: pytest.FixtureRequest, pods: Callable[..., Pod]) -> Pod:
    return pods(request.param)


MEDIA_TYPES = ("vnd.bentoml+pickle", "vnd.bentoml+msgpack", "x-www-form-urlencoded", "*", "a" * 4000, "é")


@pytest.mark.parametrize("media_type", [*(f"application/{name}" for name in MEDIA_TYPES), "multipart/form-data", "*/*"])
def test_media_types(any_pod: Pod, media_type: str) -> None:
    """BentoML would choose a decoder by them, a pickle among them."""
    headers = {"content-type": media_type.encode("latin-1")}
    answer = any_pod.http.post(any_pod.kind.path, content=PHOTOGRAPH, headers=headers)
    assert problem(answer).status < 500


@pytest.mark.parametrize("space", ['"\\ud800"', '"\\udc00x"', '"\\u0000"', "{}", "[]", "1e400", '"' + "a" * 100_000 + '"'])
def test_embedding_spaces(pods: Callable[..., Pod], space: str) -> None:
    pod = pods("embed_latent")
    body = b'{"latent": [1, -2], "embedding_space": ' + space.encode() + b"}"
    assert problem(pod.http.post("/v1/decode", content=body, headers=JSON)).code == "PARAMETER_INVALID"


BODIES = {
    "empty": b"",
    "lists": b"[" * 100_000,
    "objects": b"{" * 100_000,
    "nested": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "a million numbers": b'{"latent": [' + b"1," * 500_000 + b"1]}",
    "digits": b"1" * 100_000,
    "no UTF-8": b"\xff\xfe",
    "NaN": b'{"latent": [NaN, 1]}',
    "infinity": b'{"latent": [1e999, 1]}',
}


@pytest.mark.parametrize("name", BODIES)
def test_json_bodies(pods: Callable[..., Pod], name: str) -> None:
    answer = pods("embed_latent").http.post("/v1/decode", content=BODIES[name], headers=JSON)
    assert problem(answer).status < 500


@pytest.mark.parametrize("range_", ["bytes=5-1", "bytes=-0", "bytes=99999999-", "bytes=", "bytes=0-0," * 2000, "pixels=1-2"])
def test_ranges_of_files(pod: Pod, range_: str) -> None:
    page = pod.http.get("/").text
    files = [part.removeprefix(".") for part in page.replace("'", '"').split('"') if part.startswith("./assets/")]
    assert files
    for path in files:
        answer = pod.http.get(path, headers={"range": range_})
        assert answer.status_code < 500
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"


PATHS = ("/v1/model/", "/v1/remove-background/", "//v1/model", "/v1", "/livez/", "/assets", "/%2e%2e/x", "/a" * 9000)


@pytest.mark.parametrize("path", PATHS)
def test_paths_are_not_redirected(pod: Pod, path: str) -> None:
    """A redirect would go to whatever the caller calls the host."""
    answer = pod.http.get(path, headers={"host": "elsewhere.example"})
    refused = problem(answer)
    assert (refused.status, refused.code) in ((404, "NOT_FOUND"), (405, "METHOD_NOT_ALLOWED"))
    assert "elsewhere" not in answer.text + str(answer.headers)


QUESTIONS = {"GET", "HEAD"}
NOT_TAKEN = [
    ("DELETE", "/v1/remove-background", {"POST"}),
    ("GET", "/v1/remove-background", {"POST"}),
    ("PUT", "/v1/masks", {"POST"}),
    ("POST", "/v1/model", QUESTIONS),
    ("POST", "/livez", QUESTIONS),
    ("POST", "/metrics", QUESTIONS),
]


@pytest.mark.parametrize(("method", "path", "allowed"), NOT_TAKEN)
def test_405_says_what_is_allowed(pod: Pod, method: str, path: str, allowed: set[str]) -> None:
    answer = pod.http.request(method, path)
    assert problem(answer).status == 405
    found = {name.strip() for name in answer.headers["allow"].split(",")}
    assert found <= allowed | {"OPTIONS"}
    assert found & allowed


def test_401_says_how_to_authenticate(pods: Callable[..., Pod]) -> None:
    pod = pods(api_key=KEY)
    wrong: list[dict[str, str | bytes]] = [{}, {"x-api-key": "wrong"}, {"x-api-key": b"\xff"}]
    wrong += [{"authorization": value} for value in ("Basic eDp5", "Bearer", "Bearer wrong")]
    for headers in wrong:
        answer = pod.http.post(pod.kind.path, content=PHOTOGRAPH, headers=headers)
        assert problem(answer).status == 401
        assert answer.headers["www-authenticate"].lower().startswith("bearer")


POST = b"POST /v1/remove-background HTTP/1.1\r\nHost: x\r\n"
GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
BROKEN = {
    "no HTTP": b"nonsense\r\n\r\n",
    "binary": bytes(range(256)) + b"\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32) + b"\r\n\r\n",
    "an unknown version": b"GET /livez HTTP/9.9\r\nHost: x\r\n\r\n",
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a huge length": POST + b"Content-Length: 99999999999999999999\r\n\r\n",
    "length and chunks": POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a wrong chunk": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "a header without a name": GET + b": x\r\n\r\n",
    "a space in a name": GET + b"X Y: z\r\n\r\n",
    "a folded header": GET + b"X: y\r\n z\r\n\r\n",
    "a NUL in a header": GET + b"X: a\0b\r\n\r\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_http(pod: Pod, name: str) -> None:
    """uvicorn answers these itself; it may also hang up, or take what is harmless."""
    with http1.connection(pod) as one:
        one.settimeout(4 * float(pod.settings["idle_seconds"]) + 15)
        one.sendall(BROKEN[name])
        try:
            status, headers, body = http1.answer(one)
        except (ConnectionError, http1.http.client.RemoteDisconnected):
            return
    assert status < 500 or status in (501, 505), body
    if status >= 400:
        assert headers["content-type"] == "application/problem+json", body


@pytest.mark.parametrize("path", ["/", "/v1/remove-background", "/livez", "/nothing"])
def test_websockets(pod: Pod, path: str) -> None:
    """None is served: the upgrade is a problem, or ignored and answered as HTTP."""
    key = base64.b64encode(os.urandom(16)).decode()
    upgrade = http1.head(
        "GET", path, Connection="Upgrade", Upgrade="websocket", Sec_WebSocket_Version=13, Sec_WebSocket_Key=key
    )
    with http1.connection(pod) as one:
        one.sendall(upgrade)
        status, headers, _ = http1.answer(one)
    assert status == 200 or (400 <= status < 500 and headers["content-type"] == "application/problem+json")
    assert status != 101


def test_another_protocol_by_upgrade(pod: Pod) -> None:
    with http1.connection(pod) as one:
        one.sendall(http1.head("GET", "/livez", Connection="Upgrade, HTTP2-Settings", Upgrade="h2c", HTTP2_Settings="AAMAAABk"))
        status, headers, _ = http1.answer(one)
    assert status == 200 or headers["content-type"] == "application/problem+json"


def test_request_smuggling_by_two_requests(pod: Pod) -> None:
    """What follows a whole request on its connection is the next one, answered as such."""
    with http1.connection(pod) as one:
        one.sendall(http1.head("GET", "/livez") + http1.head("GET", "/nothing"))
        received = b""
        while received.count(b"HTTP/1.1 ") < 2 or not received.endswith(b"}"):
            received += one.recv(65536)
    assert received.startswith(b"HTTP/1.1 200 ") and b"HTTP/1.1 404 " in received


def test_parameters_without_bound(pod: Pod) -> None:
    """A sentence about a parameter does not grow faster than what was sent."""
    for query in ("threshold=" + "9" * 20_000, "x" * 20_000 + "=1", "&".join(f"p{number}=1" for number in range(5000))):
        answer = pod.http.post(f"{pod.kind.path}?{query}", content=PHOTOGRAPH)
        assert problem(answer).status < 500
        assert len(answer.content) < 2 * len(query) + 4000


def test_answers_after_all_that(any_pod: Pod) -> None:
    assert read(any_pod.http.post(any_pod.kind.path, content=PHOTOGRAPH))["model_version"]
    assert any_pod.http.get("/readyz").status_code == httpx.codes.OK
    assert "Traceback" not in any_pod.log
