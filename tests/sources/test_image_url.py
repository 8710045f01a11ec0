"""A photograph by its address, over both transports, from hosts that do as they like."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from services.common import errors
from services.common.admission import Budget
from services.common.fetching import Fetcher
from services.common.settings import Settings
from services.common.sources import read as read_sources
from tests.serving import KINDS, Refused, Served, alike, on_both, read, until
from tests.sources.conftest import Hosts
from tests.sources.hosts import GOOD, Host, listening


def _answer(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != "request_id"}


def _refused(served: Served, transport: str, address: str, code: str, **more: Any) -> Refused:
    """The error answer, held to its row; whatever was taken for the call is given back."""
    with pytest.raises(Refused) as caught:
        served.call(transport, b"", image_url=address, **more)
    row = errors.TABLE[code]
    assert caught.value.code == code, caught.value.detail
    assert caught.value.status == (row.http if transport == "http" else row.grpc)
    assert caught.value.detail.endswith(".")
    until(lambda: served.metric("maquette_bytes_received") == 0, lambda: "bytes are still held")
    return caught.value


@on_both
@pytest.mark.parametrize("path", ["good.png", "unsaid.png", "near", "good.png#part", "a%20b/good.png?x=%2F"])
def test_it_is_answered_as_if_it_had_been_sent(fetching: Served, hosts: Hosts, transport: str, path: str) -> None:
    sent = _answer(fetching.call(transport, GOOD))
    assert alike(_answer(fetching.call(transport, b"", image_url=hosts.at(path), id="7")), sent | {"id": "7"})
    assert hosts.listed.asked[-1][1] == f"127.0.0.1:{hosts.listed.port}"


def test_as_a_field_of_a_form_and_of_json_and_in_a_stream(fetching: Served, hosts: Hosts) -> None:
    address, path = hosts.at("good.png"), fetching.kind.noun
    sent = _answer(fetching.call("http", GOOD, top_k=1))
    for body in (
        {"files": {"image_url": (None, address), "top_k": (None, "1")}},
        {"json": {"image_url": address, "top_k": 1}},
        {"params": {"image_url": address, "top_k": 1}},
    ):
        assert alike(_answer(read(fetching.http.post(path, **body))), sent), body
    kind = fetching.kind
    addresses = [address, hosts.at("missing"), address]
    items = [kind.item(str(number), b"", image_url=each) for number, each in enumerate(addresses)]
    answers = list(fetching.stub.ClassifyStream(iter([*items, kind.item("3", GOOD)])))
    assert [answer.id for answer in answers] == ["0", "1", "2", "3"]
    assert [answer.error.code for answer in answers] == ["", "SOURCE_FAILED", "", ""]
    assert fetching.metric("maquette_items_total", code="SOURCE_FAILED") >= 1


@on_both
def test_one_of_two(fetching: Served, hosts: Hosts, transport: str) -> None:
    for image, address, code in (
        (GOOD, hosts.at("good.png"), "PARAMETER_INVALID"),
        (b"", "no address", "SOURCE_NOT_ALLOWED"),
        (b"", "http://[::/", "PARAMETER_INVALID"),
        (b"", "http://127.0.0.1:port/", "PARAMETER_INVALID"),
        (b"", hosts.at("x" * 5000), "PARAMETER_INVALID"),
        (b"", "", "SOURCE_NOT_ALLOWED"),
    ):
        with pytest.raises(Refused, match=code):
            fetching.call(transport, image, image_url=address)
    with pytest.raises(Refused, match="IMAGE_MISSING"):
        fetching.call(transport, b"")
    before = len(hosts.listed.asked)
    with pytest.raises(Refused, match="PARAMETER_INVALID"):
        fetching.call(transport, b"", image_url=hosts.at("good.png"), top_k=99)
    assert len(hosts.listed.asked) == before, "nothing is fetched for parameters that are refused"


def test_json_with_both_and_with_neither(fetching: Served, hosts: Hosts) -> None:
    path, image = fetching.kind.noun, base64.b64encode(GOOD).decode()
    for body, code in (
        ({"image": image, "image_url": hosts.at("good.png")}, "PARAMETER_INVALID"),
        ({"image_url": 7}, "PARAMETER_INVALID"),
        ({"image_url": ["a", "b"]}, "PARAMETER_INVALID"),
        ({"top_k": 1}, "IMAGE_MISSING"),
    ):
        with pytest.raises(Refused, match=code):
            read(fetching.http.post(path, json=body))


@on_both
@pytest.mark.parametrize("name", KINDS)
def test_a_service_whose_setting_lists_no_host_fetches_nothing(
    running: dict[str, Served], hosts: Hosts, transport: str, name: str
) -> None:
    before = hosts.listed.connections
    refused = _refused(running[name], transport, hosts.at("good.png"), "SOURCE_NOT_ALLOWED")
    assert "MAQUETTE_SOURCES" in refused.detail
    assert hosts.listed.connections == before


@on_both
@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:{unlisted}/good.png",
        "http://127.0.0.1/good.png",
        "https://127.0.0.1:{listed}/good.png",
        "HTTP://LOCALHOST:{listed}/good.png",
        "http://[::ffff:127.0.0.1]:{listed}/good.png",
        "http://[::1]:{listed}/good.png",
        "http://127.0.0.1:{listed}@127.0.0.1:{unlisted}/good.png",
        "http://me@127.0.0.1:{listed}/good.png",
        "http://127.0.0.1:{unlisted}#@127.0.0.1:{listed}/good.png",
        "http://127.0.0.1:{unlisted}\\@127.0.0.1:{listed}/good.png",
        "//127.0.0.1:{listed}/good.png",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "ftp://127.0.0.1:{listed}/good.png",
        "http://169.254.169.254/latest/meta-data",
        # The one name that is listed, and leads to where nobody allowed it to lead.
        "http://localhost:{inside}/good.png",
    ],
)
def test_source_not_allowed(fetching: Served, hosts: Hosts, transport: str, address: str) -> None:
    ports = {"listed": hosts.listed.port, "unlisted": hosts.unlisted.port, "inside": hosts.inside.port}
    before = hosts.listed.connections
    _refused(fetching, transport, address.format(**ports), "SOURCE_NOT_ALLOWED")
    assert (hosts.listed.connections, hosts.unlisted.connections, hosts.inside.connections) == (before, 0, 0)


@on_both
@pytest.mark.parametrize(
    "host", ["0x7f.1", "127.1", "2130706433", "0177.0.0.1", "127.0.0.1.", "①②⑦.0.0.1", "127.0.0.1%00", "0x7f.0.0.1"]
)
def test_another_spelling_of_a_listed_address_is_another_host(
    fetching: Served, hosts: Hosts, transport: str, host: str
) -> None:
    before = hosts.listed.connections
    with pytest.raises(Refused) as caught:
        fetching.call(transport, b"", image_url=f"http://{host}:{hosts.listed.port}/good.png")
    assert caught.value.code in ("SOURCE_NOT_ALLOWED", "PARAMETER_INVALID")
    assert hosts.listed.connections == before


@on_both
def test_a_redirect_off_the_list(fetching: Served, hosts: Hosts, transport: str) -> None:
    for port in (hosts.unlisted.port, 22):
        hosts.listed.elsewhere = f"http://127.0.0.1:{port}"
        _refused(fetching, transport, hosts.at("far"), "SOURCE_NOT_ALLOWED")
    hosts.listed.elsewhere = f"http://localhost:{hosts.inside.port}"
    _refused(fetching, transport, hosts.at("far"), "SOURCE_NOT_ALLOWED")
    for path in ("file", "user"):
        _refused(fetching, transport, hosts.at(path), "SOURCE_NOT_ALLOWED")
    assert (hosts.unlisted.connections, hosts.inside.connections) == (0, 0)
    hosts.listed.elsewhere = f"http://127.0.0.1:{hosts.second.port}"
    assert fetching.call(transport, b"", image_url=hosts.at("far"))["predictions"]


@on_both
@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("missing", "SOURCE_FAILED"),
        ("empty", "SOURCE_FAILED"),
        ("short", "SOURCE_FAILED"),
        ("gzip", "SOURCE_FAILED"),
        ("headers", "SOURCE_FAILED"),
        ("around", "SOURCE_FAILED"),
        ("crumbs", "SOURCE_FAILED"),
        ("nonsense", "SOURCE_FAILED"),
        ("json", "SOURCE_FAILED"),
        ("long-json", "SOURCE_FAILED"),
        ("deep", "SOURCE_FAILED"),
        ("text", "IMAGE_UNDECODABLE"),
        ("bomb", "IMAGE_TOO_MANY_PIXELS"),
        ("large", "IMAGE_TOO_MANY_BYTES"),
        ("boast", "IMAGE_TOO_MANY_BYTES"),
        ("endless", "IMAGE_TOO_MANY_BYTES"),
    ],
)
def test_source_failed(fetching: Served, hosts: Hosts, transport: str, path: str, code: str) -> None:
    _refused(fetching, transport, hosts.at(path), code)
    assert fetching.call(transport, GOOD)["predictions"]


@on_both
def test_a_source_that_nobody_is_at(fetching: Served, transport: str) -> None:
    _refused(fetching, transport, "http://127.0.0.1:1/good.png", "SOURCE_FAILED")
    # How long it takes to learn that there is no such name is the machine's affair.
    assert _code(fetching, transport, "http://no-such-host.invalid/good.png") in ("SOURCE_FAILED", "SOURCE_TIMEOUT")


@on_both
@pytest.mark.parametrize("path", ["silent", "slow", "continues"])
def test_source_timeout(fetching: Served, hosts: Hosts, transport: str, path: str) -> None:
    _refused(fetching, transport, hosts.at(path), "SOURCE_TIMEOUT")


@on_both
def test_a_slow_source_holds_up_only_who_asks_of_it(fetching: Served, hosts: Hosts, transport: str) -> None:
    """More callers than the source answers at once: those are refused, all others are answered meanwhile."""
    before = fetching.metric("maquette_receiving")
    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(_code, fetching, transport, hosts.at("slow")) for _ in range(20)]
        until(lambda: fetching.metric("maquette_receiving") >= before + 8, lambda: "nobody waits for the source")
        second = f"http://127.0.0.1:{hosts.second.port}/good.png"
        assert fetching.call(transport, b"", image_url=second)["predictions"]
        assert fetching.call(transport, GOOD)["predictions"]
        assert fetching.call(transport, b"", image_url=second)["predictions"]
        assert not all(each.done() for each in asked)
        codes = [each.result() for each in asked]
    assert set(codes) == {"SOURCE_TIMEOUT", "OVERLOADED"}, codes
    assert codes.count("SOURCE_TIMEOUT") >= 8
    assert fetching.call(transport, b"", image_url=hosts.at("good.png"))["predictions"]


def _code(served: Served, transport: str, address: str) -> str:
    try:
        served.call(transport, b"", image_url=address)
    except Refused as refused:
        return refused.code
    return "OK"


class _Changing(asyncio.SelectorEventLoop):
    """A loop whose names lead to another address each time they are looked up, the last for ever."""

    def __init__(self, *answers: tuple[str, ...]) -> None:
        super().__init__()
        self.answers = list(answers)
        self.looked_up: list[str] = []

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Any:
        self.looked_up.append(str(host))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answer]


@pytest.fixture
def public() -> Any:
    """A photograph on an address that the source permits, and a secret on the same port of loopback."""
    with listening(Host("127.0.0.2")) as good, listening(Host("127.0.0.1", good.port)) as secret:
        yield good, secret


def _fetch(loop: _Changing, good: Host, times: int) -> list[bytes]:
    async def fetch() -> list[bytes]:
        settings = Settings(sources=read_sources(f"http://changing.test:{good.port}=127.0.0.2/32"), idle_seconds=2)
        fetcher, fetched = Fetcher(settings, Budget(2**26, "full.")), []
        try:
            for _ in range(times):
                address = f"http://changing.test:{good.port}/once.png"
                data, lease = await fetcher.photograph(address, None, bulk=False)
                lease.release()
                fetched.append(data)
        finally:
            await fetcher.stop()
        return fetched

    return loop.run_until_complete(fetch())


def test_a_name_that_changes_its_mind(public: tuple[Host, Host]) -> None:
    """Once a connection it is looked up: what was judged is what is connected to, and the next connection is judged anew."""
    good, secret = public
    loop = _Changing(("127.0.0.2",), ("127.0.0.2",), ("127.0.0.1",))
    assert _fetch(loop, good, 2) == [GOOD, GOOD]
    assert loop.looked_up == ["changing.test", "changing.test"]
    with pytest.raises(errors.SourceNotAllowed):
        _fetch(loop, good, 1)
    loop.close()
    assert secret.connections == 0
    assert good.asked == [("/once.png", f"changing.test:{good.port}")] * 2


def test_a_name_with_one_address_too_many(public: tuple[Host, Host]) -> None:
    good, secret = public
    loop = _Changing(("127.0.0.2", "127.0.0.1"))
    with pytest.raises(errors.SourceNotAllowed):
        _fetch(loop, good, 1)
    loop.close()
    assert (good.connections, secret.connections) == (0, 0)


def test_over_tls_the_name_is_the_source_s_own(
    serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """Connected to is an address; the certificate and the Host header are those of the name."""
    import ssl

    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    right, wrong = Host(), Host()
    for host, name in ((right, "localhost"), (wrong, "elsewhere.example.org")):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
        host.socket = context.wrap_socket(host.socket, server_side=True)
    with listening(right), listening(wrong):
        listed = f"localhost:{right.port}=127.0.0.0/8,localhost:{wrong.port}=127.0.0.0/8"
        served = serve("classify", sources=listed).until_ready()
        for transport in ("http", "grpc"):
            assert served.call(transport, b"", image_url=f"https://localhost:{right.port}/good.png")["predictions"]
            _refused(served, transport, f"https://localhost:{wrong.port}/good.png", "SOURCE_FAILED")
            _refused(served, transport, f"http://localhost:{right.port}/good.png", "SOURCE_NOT_ALLOWED")
        assert {host for _, host in right.asked} == {f"localhost:{right.port}"}
        assert not wrong.asked
        served.stop()


def test_the_document_says_so(fetching: Served) -> None:
    operation = fetching.http.get("/docs.json").json()["paths"][fetching.kind.noun]["post"]
    for media in ("multipart/form-data", "application/json"):
        assert "image_url" in operation["requestBody"]["content"][media]["schema"]["properties"]
    assert "SOURCE_NOT_ALLOWED" in operation["responses"][str(httpx.codes.FORBIDDEN)]["description"]
