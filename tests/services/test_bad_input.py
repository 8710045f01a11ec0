"""The issue's list of bad input on both transports: its row, no jump of memory, and the next good request answered."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from PIL import Image

from tests import tiny
from tests.files import bomb, encode
from tests.serving import Refused, Served, holding_upload, holding_uploads, on_both, read, until

GOOD = tiny.picture()
MEBIBYTE = 2**20
BOUNDARY = "maquette-test"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


@pytest.fixture(scope="module")
def served(running: dict[str, Served]) -> Served:
    """The mask service, after a few answers: what it needs once is resident."""
    one = running["remove_background"]
    for transport in ("http", "grpc"):
        for seed in range(3):
            one.call(transport, tiny.picture(seed, (1200, 900)), output="both-as-json")
    return one


@contextmanager
def unmoved(served: Served, transport: str, *, peak: int = 32 * MEBIBYTE, kept: int = 48 * MEBIBYTE) -> Iterator[None]:
    """What happens within never needs more than ``peak`` bytes, leaves at most ``kept`` resident, and hurts nobody else."""
    resident, highest = served.resident(), served.peak()
    yield
    assert served.call(transport, GOOD)["report"]
    assert served.peak() - highest <= peak
    assert served.resident() - resident <= kept


def code(served: Served, transport: str, image: bytes, **parameters: Any) -> str:
    with pytest.raises(Refused) as caught:
        served.call(transport, image, **parameters)
    return caught.value.code


@on_both
@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (b"These are not the bytes of an image.", "IMAGE_UNDECODABLE"),
        (b"", "IMAGE_MISSING"),
        (GOOD[: len(GOOD) // 2], "IMAGE_TRUNCATED"),
        (bomb(), "IMAGE_TOO_MANY_PIXELS"),
        (encode(Image.new("RGB", (64, 64)), "GIF"), "IMAGE_FORMAT_UNSUPPORTED"),
    ],
    ids=["text", "empty", "half", "bomb", "gif"],
)
def test_bytes_that_are_no_photograph(served: Served, transport: str, image: bytes, expected: str) -> None:
    with unmoved(served, transport):
        assert code(served, transport, image) == expected


def test_70_mb_over_grpc(served: Served) -> None:
    """Again and again: the allocator keeps what two of them need, and none is kept by its error."""
    with unmoved(served, "grpc", peak=384 * MEBIBYTE, kept=192 * MEBIBYTE):
        for _ in range(6):
            assert code(served, "grpc", GOOD + bytes(70_000_000)) == "IMAGE_TOO_MANY_BYTES"


def test_a_message_beyond_grpc_s_own_limit(served: Served) -> None:
    """Above the headroom gRPC refuses by itself, before the message is in memory."""
    with unmoved(served, "grpc", peak=128 * MEBIBYTE):
        with pytest.raises(grpc.RpcError) as caught:
            served.stub.RemoveBackground(served.kind.request(bytes(100_000_000)), timeout=60)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@on_both
def test_60_mb_of_rubbish(served: Served, transport: str) -> None:
    with unmoved(served, transport, peak=384 * MEBIBYTE, kept=192 * MEBIBYTE):
        for _ in range(6):
            assert code(served, transport, bytes(60_000_000)) == "IMAGE_UNDECODABLE"


@pytest.mark.parametrize("form", [False, True], ids=["raw", "multipart"])
def test_70_mb_over_http_in_chunks_with_no_length(served: Served, form: bool) -> None:
    def body() -> Iterator[bytes]:
        if form:
            yield f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'.encode()
        yield GOOD
        for _ in range(70):
            yield bytes(1_000_000)
        if form:
            yield f"\r\n--{BOUNDARY}--\r\n".encode()

    headers = FORM if form else {"content-type": "image/png"}
    with unmoved(served, "http", peak=160 * MEBIBYTE):
        response = served.http.post(served.kind.path, content=body(), headers=headers)
        assert "content-length" not in response.request.headers
        assert Refused.from_http(response).code == "IMAGE_TOO_MANY_BYTES"


def test_a_lying_content_length_is_not_believed(served: Served) -> None:
    """A gigabyte promised and a kilobyte sent: nothing is set aside for the promise."""
    with unmoved(served, "http"), socket.create_connection((served.host, served.http_port)) as connection:
        head = f"POST {served.kind.path} HTTP/1.1\r\nHost: test\r\nContent-Type: image/png\r\n"
        connection.sendall(f"{head}Content-Length: {2**30}\r\n\r\n".encode() + bytes(1000))


class TestForms:
    def test_text_where_the_file_should_be(self, served: Served) -> None:
        with unmoved(served, "http"):
            refused = Refused.from_http(served.http.post(served.kind.path, files={"image": (None, "my photograph")}))
            assert refused.code == "IMAGE_MISSING"
            assert "`image`" in refused.detail

    @pytest.mark.parametrize(
        "parts",
        [
            {"photo": ("a.png", GOOD)},
            {"image": ("", b"")},
            {"image": ("a.png", b"")},
        ],
        ids=["other-name", "nothing-chosen", "empty-file"],
    )
    def test_no_file(self, served: Served, parts: dict[str, Any]) -> None:
        assert Refused.from_http(served.http.post(served.kind.path, files=parts)).code == "IMAGE_MISSING"

    def test_two_files(self, served: Served) -> None:
        response = served.http.post(served.kind.path, files=[("image", ("a.png", GOOD)), ("image", ("b.png", GOOD))])
        refused = Refused.from_http(response)
        assert refused.code == "IMAGE_MISSING"
        assert "one file" in refused.detail

    @pytest.mark.parametrize("body", [b"", b"--other\r\n\r\n", f"--{BOUNDARY}\r\nContent-Disposition: nonsense".encode()])
    def test_a_malformed_form(self, served: Served, body: bytes) -> None:
        assert Refused.from_http(served.http.post(served.kind.path, content=body, headers=FORM)).code == "IMAGE_MISSING"

    def test_a_form_without_boundary(self, served: Served) -> None:
        response = served.http.post(served.kind.path, content=GOOD, headers={"content-type": "multipart/form-data"})
        assert Refused.from_http(response).code == "IMAGE_MISSING"

    @pytest.mark.parametrize("media_type", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
    def test_a_body_of_another_type(self, served: Served, media_type: str) -> None:
        response = served.http.post(served.kind.path, content=GOOD, headers={"content-type": media_type})
        assert Refused.from_http(response).code == "IMAGE_MISSING"

    def test_a_good_form_with_parameters(self, served: Served) -> None:
        files = {"image": ("a.png", GOOD, "image/png")}
        answer = read(served.http.post(served.kind.path, files=files, data={"output": "both-as-json", "threshold": "0.4"}))
        expected = served.call("http", GOOD, output="both-as-json", threshold=0.4)
        assert answer["mask"] == expected["mask"]
        assert answer["report"] == expected["report"]

    def test_no_content_type_and_a_wrong_image_type_are_judged_by_the_bytes(self, served: Served) -> None:
        for media_type in ("", "image/jpeg", "application/octet-stream"):
            headers = {"content-type": media_type} if media_type else {}
            assert read(served.http.post(served.kind.path, content=GOOD, headers=headers))["report"]


def test_a_url_is_never_fetched(served: Served) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, unmoved(served, "http"):
        listening.setblocking(False)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/photograph.png"
        post = served.http.post
        answers = [
            post(served.kind.path, files={"image": (None, url)}),
            post(served.kind.path, files={"image": ("photograph.png", url.encode(), "image/png")}),
            post(served.kind.path, files={"image": ("photograph.png", url.encode(), "text/uri-list")}),
            post(served.kind.path, data={"image": url}),
            post(served.kind.path, json={"image": url}),
            post(served.kind.path, content=url.encode(), headers={"content-type": "image/png"}),
            post(served.kind.path, params={"image": url}),
        ]
        codes = [Refused.from_http(answer).code for answer in answers]
        assert set(codes) == {"IMAGE_MISSING", "IMAGE_UNDECODABLE", "PARAMETER_INVALID"}
        assert code(served, "grpc", url.encode()) == "IMAGE_UNDECODABLE"
        with pytest.raises(BlockingIOError):
            listening.accept()


@on_both
@pytest.mark.parametrize(
    ("name", "parameters", "sentence"),
    [
        ("classify", {"top_k": 99}, "`top_k`"),
        ("classify", {"top_k": 0}, "`top_k`"),
        ("cluster_assign", {"neighbours": 51}, "`neighbours`"),
        ("remove_background", {"threshold": 1.5}, "`threshold`"),
        ("remove_background", {"threshold": 0}, "`threshold`"),
        ("remove_background", {"output": 17}, "`output`"),
        ("remove_background", {"frame": 17}, "`frame`"),
    ],
)
def test_a_parameter_out_of_range(
    running: dict[str, Served], transport: str, name: str, parameters: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(Refused) as caught:
        running[name].call(transport, GOOD, **parameters)
    assert caught.value.code == "PARAMETER_INVALID"
    assert sentence in caught.value.detail


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"treshold": "0.5"}, "There is no parameter `treshold`; known are: output, frame, threshold, hints, adapter."),
        ({"threshold": "half"}, "`threshold`"),
        ({"threshold": "nan"}, "`threshold`"),
        ({"threshold": "inf"}, "`threshold`"),
        ({"output": "sculpture"}, "'mask', 'cutout' or 'both'"),
        ({"frame": ""}, "`frame`"),
    ],
)
def test_a_parameter_that_is_not_one(served: Served, parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused) as caught:
        served.call("http", GOOD, **parameters)
    assert caught.value.code == "PARAMETER_INVALID"
    assert sentence in caught.value.detail


def test_a_threshold_that_is_no_number_over_grpc(served: Served) -> None:
    assert code(served, "grpc", GOOD, threshold=float("nan")) == "PARAMETER_INVALID"


@on_both
def test_a_large_photograph_leaves_nothing(served: Served, transport: str) -> None:
    with unmoved(served, transport, peak=1024 * MEBIBYTE, kept=128 * MEBIBYTE):
        assert served.call(transport, encode(Image.new("RGB", (7_000, 7_000))), output="cutout")["report"]


@on_both
def test_a_caller_that_hangs_up(served: Served, transport: str) -> None:
    """The work is dropped and counted as such; nobody else waits for it."""
    large = encode(Image.new("RGB", (7_000, 7_000)))
    resident = served.resident()
    cancelled = served.metric("maquette_items_total", code="CANCELLED")
    calls = served.metric("maquette_calls_total", code="CANCELLED", transport=transport)
    if transport == "http":
        with socket.create_connection((served.host, served.http_port)) as connection:
            head = f"POST {served.kind.path}?output=cutout HTTP/1.1\r\nHost: test\r\nContent-Type: image/png\r\n"
            connection.sendall(f"{head}Content-Length: {len(large)}\r\n\r\n".encode() + large)
            until(lambda: served.metric("maquette_pixels_in_flight") > 0, lambda: "the work did not start")
    else:
        answer = served.stub.RemoveBackground.future(served.kind.request(large, output="cutout"))
        until(lambda: served.metric("maquette_pixels_in_flight") > 0, lambda: "the work did not start")
        answer.cancel()
    until(lambda: served.metric("maquette_items_total", code="CANCELLED") == cancelled + 1, lambda: "the work went on")
    assert served.metric("maquette_calls_total", code="CANCELLED", transport=transport) == calls + 1
    assert served.metric("maquette_pixels_in_flight") == 0
    assert served.call(transport, GOOD)["report"]
    until(lambda: served.resident() - resident < 128 * MEBIBYTE, lambda: "its pixels were kept")


def test_a_caller_that_hangs_up_while_sending(served: Served) -> None:
    calls = served.metric("maquette_calls_total", code="CANCELLED", transport="http")
    with holding_upload(served, GOOD):
        pass
    until(lambda: served.metric("maquette_receiving") == 0, lambda: "it is still waited for")
    until(lambda: served.metric("maquette_bytes_received") == 0, lambda: "its bytes are still held")
    assert served.metric("maquette_calls_total", code="CANCELLED", transport="http") == calls + 1


def test_slow_senders_keep_nobody_out(running: dict[str, Served]) -> None:
    """As many calls as the queue takes are still being sent: others are answered meanwhile, and they in the end."""
    served = running["embed_latent"]
    with holding_uploads(served, GOOD, 64) as uploads:
        assert served.metric("maquette_receiving") == 64
        assert served.metric("maquette_at_work") == 0
        for transport in ("http", "grpc"):
            assert served.call(transport, GOOD)["latent"]
        for upload in uploads:
            upload.sendall(GOOD[-1:])
        assert all(b" 200 OK" in upload.recv(65536) for upload in uploads)
    for transport in ("http", "grpc"):
        assert served.call(transport, GOOD)["latent"]


def test_the_caller_s_own_id_comes_back(served: Served) -> None:
    """In the query, the form or the message, in JSON or beside a picture; none where none was sent."""
    for sent in ({"params": {"id": "Inv. 17/2 é"}}, {"data": {"id": "Inv. 17/2 é"}}):
        answer = read(served.http.post(served.kind.path, files={"image": ("a.png", GOOD)}, **sent))
        assert answer["id"] == "Inv. 17/2 é"
    assert served.call("grpc", GOOD, id="Inv. 17/2 é")["id"] == "Inv. 17/2 é"
    for transport in ("http", "grpc"):
        assert "id" not in served.call(transport, GOOD)
        with pytest.raises(Refused, match="PARAMETER_INVALID"):
            served.call(transport, GOOD, id="x" * 257)
