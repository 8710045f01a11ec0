"""Every row of the error table, on both transports, from services that really run."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import Queue
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from PIL import Image

from services.common.errors import TABLE
from services.common.grpc_calls import MESSAGE_BYTES
from tests import tiny
from tests.files import encode
from tests.serving import KINDS, Refused, Served, holding_upload, holding_uploads, on_both, read, until

GOOD = tiny.picture()
KEY = "correct horse battery"


# What a caller can do wrong to a service with default settings, and the code of it.
MISTAKES: dict[str, Callable[[Served, str], Any]] = {
    "IMAGE_MISSING": lambda served, transport: served.call(transport, b""),
    "IMAGE_UNDECODABLE": lambda served, transport: served.call(transport, b"not an image at all"),
    "IMAGE_TRUNCATED": lambda served, transport: served.call(transport, GOOD[: len(GOOD) // 2]),
    "IMAGE_FORMAT_UNSUPPORTED": lambda served, transport: served.call(transport, encode(Image.new("RGB", (8, 8)), "GIF")),
    "IMAGE_TOO_MANY_BYTES": lambda served, transport: served.call(transport, GOOD + bytes(65 * 2**20)),
    "IMAGE_TOO_MANY_PIXELS": lambda served, transport: served.call(transport, encode(Image.new("1", (12_001, 10_000)))),
    "PARAMETER_INVALID": lambda served, transport: served.call(transport, GOOD, top_k=99),
}
# Rows that need a service of their own, or are HTTP's; each has its test below.
OTHERS = {
    "ADAPTER_MISMATCH",
    "UNAUTHENTICATED",
    "OVERLOADED",
    "DEADLINE_EXCEEDED",
    "NOT_READY",
    "NOT_FOUND",
    "METHOD_NOT_ALLOWED",
    "INTERNAL",
}


def test_no_row_is_left_out() -> None:
    assert MISTAKES.keys() | OTHERS == TABLE.keys()
    for code in OTHERS:
        assert f"test_{code.lower()}" in globals(), code


def refused(act: Callable[[], Any], code: str, transport: str) -> Refused:
    """The error answer, held to its row."""
    with pytest.raises(Refused) as caught:
        act()
    answer, row = caught.value, TABLE[code]
    assert answer.code == code
    assert answer.status == (row.http if transport == "http" else row.grpc)
    assert answer.retry_after == row.retry_after
    assert answer.detail.endswith(".")
    for secret in ("Traceback", "Error(", "/tmp", "site-packages"):
        assert secret not in answer.detail
    return answer


@on_both
def test_adapter_mismatch(running: dict[str, Served], transport: str) -> None:
    served = running["remove_background"]
    other = {"version": 1, "model_version": "9.9", "model_sha256": "0" * 64, "weights": [0.5]}
    given = json.dumps(other) if transport == "http" else served.kind.pb.Adapter(**other)
    refused(lambda: served.call(transport, GOOD, adapter=given), "ADAPTER_MISMATCH", transport)


@pytest.fixture(scope="module")
def strict(serve: Callable[..., Served]) -> Served:
    """It wants a key, takes one call at a time, and has room for the bytes of four, three of them large."""
    room = {"max_mebibytes": 1, "mebibytes_in_flight": 4, "wait_seconds": 0.5}
    return serve("classify", api_key=KEY, max_queue=1, timeout_seconds=150, **room).until_ready()


@pytest.fixture(scope="module")
def hasty(serve: Callable[..., Served]) -> Served:
    return serve("classify", timeout_seconds=0.001).until_ready()


@pytest.fixture(scope="module")
def faulty(serve: Callable[..., Served], tmp_path_factory: pytest.TempPathFactory) -> Served:
    root = tmp_path_factory.mktemp("faulty")
    tiny.faulty(root)
    return serve("classify", models=root).until_ready()


@on_both
@pytest.mark.parametrize("code", MISTAKES)
def test_a_caller_s_mistake(running: dict[str, Served], transport: str, code: str) -> None:
    served = running["classify"]
    before = served.metric("maquette_calls_total", transport=transport, code=code, method="Classify")
    refused(lambda: MISTAKES[code](served, transport), code, transport)
    assert served.metric("maquette_calls_total", transport=transport, code=code, method="Classify") == before + 1
    assert served.call(transport, GOOD)["predictions"]


@on_both
def test_the_title_and_the_request_id(running: dict[str, Served], transport: str) -> None:
    served = running["classify"]
    with pytest.raises(Refused) as caught:
        served.call(transport, b"", headers={"x-request-id": "record-4711"})
    assert caught.value.request_id == "record-4711"
    response = served.http.post("/v1/classify", content=b"")
    assert response.json()["title"] == TABLE["IMAGE_MISSING"].title
    assert any(line.get("request_id") == "record-4711" and line["code"] == "IMAGE_MISSING" for line in served.log_lines)


@on_both
@pytest.mark.parametrize("sent", ["", "two words", '"quoted"', "x" * 129, "../../etc/passwd"])
def test_a_request_id_that_is_none_is_replaced(running: dict[str, Served], transport: str, sent: str) -> None:
    """It goes into logs and headers: only what cannot break them is taken."""
    answer = running["classify"].call(transport, GOOD, headers={"x-request-id": sent} if sent else {})
    assert len(answer["request_id"]) == 32
    assert answer["request_id"].isalnum()


@on_both
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-api-key": "wrong"},
        {"x-api-key": KEY[:-1]},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {KEY}"},
        {"authorization": "Basic Y29ycmVjdCBob3JzZQ=="},
    ],
    ids=["none", "wrong", "nearly", "wrong-bearer", "basic", "basic-coded"],
)
def test_unauthenticated(strict: Served, transport: str, headers: dict[str, str]) -> None:
    refused(lambda: strict.call(transport, GOOD, headers=headers), "UNAUTHENTICATED", transport)


@on_both
@pytest.mark.parametrize("headers", [{"x-api-key": KEY}, {"authorization": f"Bearer {KEY}"}])
def test_the_right_key(strict: Served, transport: str, headers: dict[str, str]) -> None:
    assert strict.call(transport, GOOD, headers=headers)["predictions"]


def test_the_key_guards_questions_and_streams_and_not_probes(strict: Served) -> None:
    with pytest.raises(Refused, match="UNAUTHENTICATED"):
        strict.get("http", "/v1/model")
    with pytest.raises(Refused, match="UNAUTHENTICATED"):
        strict.get("grpc", "/v1/model")
    with pytest.raises(grpc.RpcError) as caught:
        list(strict.stub.ClassifyStream(iter([strict.kind.item("1", GOOD)])))
    assert Refused.from_grpc(caught.value).code == "UNAUTHENTICATED"
    for path in ("/livez", "/readyz", "/metrics", "/docs.json", "/", "/docs", "/assets/base.css", "/samples/statue.jpg"):
        assert strict.http.get(path).status_code == httpx.codes.OK, path
    assert KEY not in strict.log


@on_both
def test_overloaded(strict: Served, transport: str) -> None:
    """One large photograph at work fills the queue of one; when it is answered, the next is let in."""
    key = {"x-api-key": KEY}
    large = encode(Image.new("RGB", (11_000, 9_000)))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(strict.call, "http", large, headers=key)
        until(lambda: first.done() or strict.metric("maquette_at_work") == 1, lambda: "the call was not let in")
        refused(lambda: strict.call(transport, GOOD, headers=key), "OVERLOADED", transport)
        assert first.result()["predictions"]
    assert strict.call(transport, GOOD, headers=key)["predictions"]


@on_both
def test_more_bytes_at_once_than_there_is_room_for(strict: Served, transport: str) -> None:
    """Three senders of the largest size leave a quarter for who sends little, or does not say how much; one more of theirs is
    refused."""
    key = {"x-api-key": KEY}
    photograph = GOOD + bytes(2**20 - len(GOOD))

    def said(data: bytes) -> dict[str, str]:
        return {MESSAGE_BYTES: str(len(strict.kind.request(data).SerializeToString()))} if transport == "grpc" else {}

    with holding_uploads(strict, photograph, 3, KEY) as uploads:
        refused(lambda: strict.call(transport, photograph, headers=key | said(photograph)), "OVERLOADED", transport)
        assert strict.call(transport, GOOD, headers=key | said(GOOD))["predictions"]
        assert strict.call("grpc", photograph, headers=key)["predictions"]
        for upload in uploads:
            upload.sendall(photograph[-1:])
            assert b" 200 OK" in upload.recv(65536)
    assert strict.call(transport, photograph, headers=key)["predictions"]


@on_both
def test_deadline_exceeded(hasty: Served, transport: str) -> None:
    large = encode(Image.new("RGB", (4000, 3000)))
    refused(lambda: hasty.call(transport, large), "DEADLINE_EXCEEDED", transport)


def test_the_caller_s_own_deadline_ends_the_work(running: dict[str, Served]) -> None:
    served = running["remove_background"]
    large = encode(Image.new("RGB", (9000, 9000)))
    cancelled = served.metric("maquette_items_total", code="CANCELLED")
    with pytest.raises(grpc.RpcError) as caught:
        served.stub.RemoveBackground(served.kind.request(large, output="cutout"), timeout=0.1)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    until(lambda: served.metric("maquette_items_total", code="CANCELLED") == cancelled + 1, lambda: "the work was not dropped")
    assert served.call("grpc", GOOD)["report"]


@pytest.fixture(scope="module", params=["missing", "differing"])
def unready(
    request: pytest.FixtureRequest, serve: Callable[..., Served], bundles: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Served, str]:
    """A service that must never become ready, and what its log has to say."""
    root = tmp_path_factory.mktemp("unready")
    folder = Path(shutil.copytree(bundles / "classify" / "0.0.1", root / "classify" / "0.0.1"))
    if request.param == "missing":
        (folder / "model.onnx").unlink()
        reason = "model.onnx: missing"
    else:
        golden = json.loads((folder / "golden.json").read_text())
        golden["outputs"]["probabilities"]["values"][0] += 0.1
        (folder / "golden.json").write_text(json.dumps(golden))
        reason = "differs from the golden answer"
    served = serve("classify", models=root).until_listening()
    until(lambda: any(line["event"] == "the model did not load" for line in served.log_lines), lambda: served.log)
    return served, reason


def test_not_ready(unready: tuple[Served, str]) -> None:
    served, reason = unready
    for transport in ("http", "grpc"):
        answer = refused(lambda transport=transport: served.call(transport, GOOD), "NOT_READY", transport)
        assert "log" in answer.detail
        refused(lambda transport=transport: served.get(transport, "/v1/model"), "NOT_READY", transport)
    items = list(served.stub.ClassifyStream(iter([served.kind.item("1", GOOD)])))
    assert [(item.id, item.error.code) for item in items] == [("1", "NOT_READY")]
    assert served.http.get("/readyz").status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert served.http.get("/livez").status_code == httpx.codes.OK
    assert served.metric("maquette_ready") == 0
    line = next(line for line in served.log_lines if line["event"] == "the model did not load")
    assert (line["level"], line["service"]) == ("CRITICAL", "classify")
    assert reason in line["reason"]


@on_both
def test_internal(faulty: Served, transport: str) -> None:
    """The graph fails on white: the caller hears nothing of why, the log everything, and the next is answered."""
    white = encode(Image.new("RGB", (40, 40), "white"))
    answer = refused(lambda: faulty.call(transport, white), "INTERNAL", transport)
    assert "Reshape" not in answer.detail
    until(
        lambda: any(line.get("request_id") == answer.request_id and line["level"] == "ERROR" for line in faulty.log_lines), str
    )
    cause = next(line for line in faulty.log_lines if line.get("request_id") == answer.request_id and line["level"] == "ERROR")
    assert "Reshape" in cause["exc_info"]
    assert faulty.call(transport, GOOD)["predictions"]


def test_internal_in_a_stream_is_one_item_s(faulty: Served) -> None:
    white = encode(Image.new("RGB", (40, 40), "white"))
    items = [faulty.kind.item(str(number), white if number == 1 else GOOD) for number in range(3)]
    # One after the other, so that the three do not share a batch.
    answers = [next(iter(faulty.stub.ClassifyStream(iter([item])))) for item in items]
    assert [answer.WhichOneof("outcome") for answer in answers] == ["response", "error", "response"]
    assert answers[1].error.code == "INTERNAL"


@pytest.mark.parametrize("path", ["/nowhere", "/v1", "/v1/classify/more", "/v2/classify", "/v1/cluster-assign"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_not_found(running: dict[str, Served], method: str, path: str) -> None:
    served = running["classify"]
    refused(lambda: read(served.http.request(method, path)), "NOT_FOUND", "http")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/classify"), ("PUT", "/v1/classify"), ("POST", "/v1/model"), ("DELETE", "/v1/model"), ("POST", "/readyz")],
)
def test_method_not_allowed(running: dict[str, Served], method: str, path: str) -> None:
    served = running["classify"]
    refused(lambda: read(served.http.request(method, path)), "METHOD_NOT_ALLOWED", "http")


def test_an_rpc_of_another_service_is_unimplemented(running: dict[str, Served]) -> None:
    """gRPC's own words for both: it knows no paths and no methods of paths."""
    kind = KINDS["embed_latent"]
    with pytest.raises(grpc.RpcError) as caught:
        kind.stub(running["classify"].channel).Embed(kind.request(GOOD), timeout=30)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED is TABLE["NOT_FOUND"].grpc is TABLE["METHOD_NOT_ALLOWED"].grpc


def test_not_ready_while_draining(serve: Callable[..., Served]) -> None:
    """What is at work is finished; what comes later is told to go elsewhere; the health of both transports says so."""
    served = serve("classify", drain_seconds=3).until_ready()
    with ExitStack() as stack:
        upload = stack.enter_context(holding_upload(served, GOOD))
        stack.enter_context(holding_upload(served, GOOD))  # it never ends, and must not keep the service from ending
        late = stack.enter_context(socket.create_connection((served.host, served.http_port)))
        late.sendall(f"POST /v1/classify HTTP/1.1\r\nHost: test\r\nContent-Length: {len(GOOD)}\r\n".encode())
        watch = health_pb2_grpc.HealthStub(served.channel).Watch(health_pb2.HealthCheckRequest(), timeout=60)
        states = iter(watch)
        assert next(states).status == health_pb2.HealthCheckResponse.SERVING
        items: Queue[object] = Queue()
        stream = served.stub.ClassifyStream(iter(items.get, None), timeout=60)

        def item_refused() -> bool:
            items.put(served.kind.item("late", GOOD))
            return bool(next(stream).error.code == "NOT_READY")

        assert not item_refused()
        served.terminate()
        assert next(states).status == health_pb2.HealthCheckResponse.NOT_SERVING
        until(lambda: grpc_refused(served) is grpc.StatusCode.UNAVAILABLE, lambda: "gRPC goes on taking calls")
        until(item_refused, lambda: "the stream goes on")
        items.put(None)
        upload.sendall(GOOD[-1:])
        answer = upload.recv(65536)
        assert b" 200 OK" in answer and b"\r\nconnection: close\r\n" in answer, answer
        late.sendall(b"\r\n" + GOOD)
        answer = late.recv(65536)
        assert b" 503 " in answer and b"\r\nconnection: close\r\n" in answer, answer
        watch.cancel()
        log = served.stop()
    assert served.process.returncode == 0, log


def grpc_refused(served: Served) -> grpc.StatusCode | None:
    try:
        served.stub.Classify(served.kind.request(GOOD), timeout=30)
    except grpc.RpcError as error:
        return error.code()
    return None
