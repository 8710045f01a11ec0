"""HTTP and gRPC of all four services through one port of the proxy, with TLS and without."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import trustme

from maquette import Client
from tests import tiny
from tests.compose.conftest import Proxy, backends
from tests.k8s import rendered
from tests.serving import KINDS, Refused, Served, as_dict, read, until

GOOD = tiny.picture()


@pytest.fixture(scope="module")
def plain(proxied: Callable[..., Proxy]) -> Proxy:
    return proxied(lambda proxy: _status(f"http://127.0.0.1:{proxy.port}/readyz") == httpx.codes.OK)


@pytest.fixture(scope="module")
def http(plain: Proxy) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{plain.port}", timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def channel(plain: Proxy) -> Iterator[grpc.Channel]:
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{plain.port}", options) as made:
        yield made


def _status(url: str, **more: Any) -> int:
    try:
        return httpx.get(url, **more).status_code
    except httpx.TransportError:
        return 0


def _routes() -> list[tuple[str, str]]:
    """Every path that the gateway of the cluster knows, and the service it leads to."""
    [route] = rendered.of_kind("overlays/production", "HTTPRoute")
    return [
        (match["path"]["value"], rule["backendRefs"][0]["name"].removesuffix("-http"))
        for rule in route["spec"]["rules"]
        for match in rule["matches"]
    ]


def test_every_path_of_the_cluster_s_gateway(http: httpx.Client, running: dict[str, Served]) -> None:
    """Each reaches the service that has it: that one, asked itself, answers alike."""
    for path, name in _routes():
        served = running[name.replace("-", "_")]
        through, own = http.get(path), served.http.get(path.removeprefix(f"/{name}"))
        assert through.status_code == own.status_code, path
        assert through.status_code in (httpx.codes.OK, httpx.codes.METHOD_NOT_ALLOWED), path
        assert through.headers["content-type"] == own.headers["content-type"], path


@pytest.mark.parametrize("name", KINDS)
def test_a_photograph_over_both_transports(name: str, http: httpx.Client, channel: grpc.Channel) -> None:
    kind = KINDS[name]
    over_http = read(http.post(kind.noun, files={"image": ("a.png", GOOD)}))
    over_grpc = as_dict(getattr(kind.stub(channel), kind.rpc)(kind.request(GOOD), timeout=60))
    assert over_http.keys() == over_grpc.keys()
    assert over_http["model_version"] == over_grpc["model_version"]
    stream = getattr(kind.stub(channel), f"{kind.rpc}Stream")
    answers = list(stream(iter([kind.item(str(number), GOOD) for number in range(20)]), timeout=60))
    assert [answer.id for answer in answers] == [str(number) for number in range(20)]


def test_what_all_services_have_is_under_their_names(http: httpx.Client) -> None:
    for name in (kind.replace("_", "-") for kind in KINDS):
        for page in ("livez", "readyz", "docs.json", "docs", "", f"v1/models/{name}", "assets/icon.svg", "samples/statue.jpg"):
            assert http.get(f"/{name}/{page}").status_code == httpx.codes.OK, (name, page)
        assert http.get(f"/{name}/docs.json").json()["info"]["title"].endswith(name.replace("-", "_"))


@pytest.mark.parametrize(
    "path", ["/", "/metrics", "/classify/metrics", "/classify/%6Detrics", "/classify//metrics", "/v1/model", "/nowhere"]
)
def test_what_is_not_for_callers(http: httpx.Client, path: str) -> None:
    with pytest.raises(Refused, match="NOT_FOUND"):
        answer = http.get(path)
        raise Refused(answer.json()["code"], answer.json()["detail"], answer.status_code, "", None)


def test_a_method_that_no_service_has(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/maquette.nothing.v1.NothingService/Ask")(b"", timeout=30)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_the_largest_photograph_is_let_through_and_a_larger_one_refused_by_the_service(
    http: httpx.Client, channel: grpc.Channel
) -> None:
    kind = KINDS["classify"]
    largest = GOOD + bytes(64 * 2**20 - len(GOOD))
    assert read(http.post(kind.noun, content=largest, headers={"content-type": "image/png"}))["predictions"]
    assert kind.stub(channel).Classify(kind.request(largest), timeout=60).predictions
    for refused in (
        lambda: read(http.post(kind.noun, content=largest + b"0", headers={"content-type": "image/png"})),
        lambda: kind.stub(channel).Classify(kind.request(largest + b"0"), timeout=60),
    ):
        with pytest.raises((Refused, grpc.RpcError)) as caught:
            refused()
        error = caught.value if isinstance(caught.value, Refused) else Refused.from_grpc(caught.value)
        assert error.code == "IMAGE_TOO_MANY_BYTES"


def test_a_batch_is_answered_while_it_is_sent(plain: Proxy) -> None:
    """The next photograph leaves when the one before it has its answer: nothing holds either back. Over HTTP/1.1."""
    count, boundary = 5, "b"
    with socket.create_connection(("127.0.0.1", plain.port), timeout=60) as connection:
        head = (
            "POST /v1/classifications/batch HTTP/1.1", "Host: maquette", "Accept: application/x-ndjson",
            f"Content-Type: multipart/form-data; boundary={boundary}", "Transfer-Encoding: chunked", "", "",
        )  # fmt: skip
        connection.sendall("\r\n".join(head).encode())
        received = b""
        for number in range(count):
            disposition = f'Content-Disposition: form-data; name="images"; filename="{number}.png"'
            before, after = ("" if number else f"--{boundary}\r\n"), ("--" if number == count - 1 else "")
            part = f"{before}{disposition}\r\n\r\n".encode() + GOOD + f"\r\n--{boundary}{after}\r\n".encode()
            connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
            while received.count(b'"index"') <= number:
                piece = connection.recv(65536)
                assert piece, received
                received += piece
        connection.sendall(b"0\r\n\r\n")
        while not received.endswith(b"0\r\n\r\n"):
            received += connection.recv(65536)
    lines = [json.loads(line) for line in received.splitlines() if line.startswith(b'{"index"')]
    assert [line["file"] for line in lines] == [f"{number}.png" for number in range(count)]
    assert all("predictions" in line for line in lines)


def test_the_client_of_the_repository(plain: Proxy, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(GOOD)
    with Client(f"127.0.0.1:{plain.port}") as client:
        assert client.classify(tmp_path / "a.png").predictions
        assert client.remove_background(tmp_path / "a.png").mask


def test_with_tls(proxied: Callable[..., Proxy], tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    pem = tmp_path / "maquette.pem"
    pem.write_bytes(b"".join(each.bytes() for each in (*issued.cert_chain_pems, issued.private_key_pem)))
    context = ssl.create_default_context()
    authority.configure_trust(context)

    def ready(proxy: Proxy) -> bool:
        return _status(f"https://localhost:{proxy.port}/readyz", verify=context) == httpx.codes.OK

    proxy = proxied(ready, f"ssl crt {pem} alpn h2,http/1.1")
    kind = KINDS["classify"]
    with httpx.Client(verify=context) as client:
        assert read(client.post(f"https://localhost:{proxy.port}{kind.noun}", content=GOOD))["predictions"]
    credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    with grpc.secure_channel(f"localhost:{proxy.port}", credentials) as secure:
        assert kind.stub(secure).Classify(kind.request(GOOD), timeout=60).predictions
    assert _status(f"http://localhost:{proxy.port}/readyz") != httpx.codes.OK


def test_a_service_that_is_away(running: dict[str, Served], tmp_path: Path) -> None:
    """It is said in the contract's words, the others answer, and the proxy is not ready."""
    away = backends(running) | {"CLASSIFY_HTTP": "127.0.0.1:1", "CLASSIFY_GRPC": "127.0.0.1:1"}
    proxy, classify, masks = Proxy(tmp_path, away), KINDS["classify"], KINDS["remove_background"]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{proxy.port}", timeout=60) as client:
            until(
                lambda: _status(f"http://127.0.0.1:{proxy.port}/remove-background/readyz") == httpx.codes.OK, lambda: proxy.log
            )
            until(lambda: client.post(classify.noun, content=GOOD).status_code == 503, lambda: proxy.log)
            answer = client.post(classify.noun, content=GOOD)
            assert answer.json()["code"] == "NOT_READY" and answer.headers["retry-after"] == "1"
            assert answer.headers["content-type"] == "application/problem+json"
            assert read(client.post(masks.noun, content=GOOD))["report"]
            assert client.get("/readyz").status_code == httpx.codes.SERVICE_UNAVAILABLE
        with grpc.insecure_channel(f"127.0.0.1:{proxy.port}") as channel, pytest.raises(grpc.RpcError) as caught:
            classify.stub(channel).Classify(classify.request(GOOD), timeout=60)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    finally:
        proxy.stop()
