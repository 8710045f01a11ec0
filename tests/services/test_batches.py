"""Many photographs over HTTP, of every service: streamed both ways, an item's error in its place, no limit in all."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests import tiny
from tests.serving import KINDS, Refused, Served, alike, read, until

GOOD = tiny.picture()
LINES = {"accept": "application/x-ndjson"}
BOUNDARY = "maquette-test"


@pytest.fixture(scope="module")
def small(serve: Callable[..., Served]) -> Served:
    """One that takes photographs of one MiB and holds four at once; it gives up soon on who stops."""
    return serve(
        "classify", max_mebibytes=1, mebibytes_in_flight=4, max_streams=8, wait_seconds=0.5, idle_seconds=2, max_queue=1
    ).until_ready()


def post(served: Served, files: list[tuple[str, bytes]], ids: list[str] | None = None, **more: Any) -> httpx.Response:
    parts: list[Any] = [("id", (None, id_)) for id_ in ids or []]
    parts += [("images", file) for file in files]
    return served.http.post(f"{served.kind.noun}/batch", files=parts, **more)


def opened(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == httpx.codes.OK, response.text
    if response.headers["content-type"] == "application/json":
        return list(response.json())
    assert response.headers["content-type"] == LINES["accept"]
    return [json.loads(line) for line in response.text.splitlines()]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("headers", [{}, LINES], ids=["json", "lines"])
def test_rows_are_the_answers_of_single_calls(running: dict[str, Served], name: str, headers: dict[str, str]) -> None:
    served = running[name]
    files = [(f"sub/{number}.png", tiny.picture(number)) for number in range(12)]
    files[5] = ("bad.png", b"no image")
    rows = opened(post(served, files, [f"record {number}" for number in range(12)], headers=headers))
    assert [(row["index"], row["file"], row["id"]) for row in rows] == [
        (number, file, f"record {number}") for number, (file, _) in enumerate(files)
    ]
    assert rows[5]["error"]["code"] == "IMAGE_UNDECODABLE"
    for row, (_, data) in zip(rows, files, strict=True):
        if "error" in row:
            continue
        single = served.call("grpc", data)
        answer = {key: value for key, value in row.items() if key not in ("index", "file", "id", "request_id")}
        del single["request_id"]
        assert alike(answer, single)
        fields = served.kind.pb.DESCRIPTOR.message_types_by_name[f"{served.kind.rpc}Response"].fields
        assert list(answer) == [field.name for field in fields if field.name in answer]


def test_parameters_hold_for_all(running: dict[str, Served]) -> None:
    served = running["classify"]
    files = [("a.png", GOOD), ("b.png", GOOD)]
    assert [len(row["predictions"]) for row in opened(post(served, files, params={"top_k": 1}))] == [1, 1]
    assert [len(row["predictions"]) for row in opened(post(served, files, data={"top_k": "1"}))] == [1, 1]
    with pytest.raises(Refused, match="known are: top_k"):
        read(post(served, files, params={"neighbours": 1}))


def test_more_than_the_limit_of_a_photograph_in_all(small: Served) -> None:
    """Nine times what it takes at once, one of them above the limit: that is one row's error."""
    padded = GOOD + bytes(2**20 - len(GOOD))
    files = [(f"{number}.png", padded) for number in range(36)]
    files[7] = ("large.png", GOOD + bytes(2**20))
    rows = opened(post(small, files))
    assert [row.get("error", {}).get("code") for row in rows] == [
        "IMAGE_TOO_MANY_BYTES" if number == 7 else None for number in range(36)
    ]
    until(lambda: small.metric("maquette_bytes_received") == 0, lambda: "bytes are not given back")


def part(name: str, data: bytes, *, last: bool = False) -> bytes:
    """A file, with the boundary behind it, which says that it is whole."""
    head = f'Content-Disposition: form-data; name="images"; filename="{name}"\r\n\r\n'
    return head.encode() + data + f"\r\n--{BOUNDARY}{'--' if last else ''}\r\n".encode()


def begin(served: Served) -> socket.socket:
    """A connection whose batch has begun, of no length known in advance."""
    connection = socket.create_connection((served.host, served.http_port), timeout=60)
    headers = (
        "Host: test",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        "Transfer-Encoding: chunked",
        "Accept: application/x-ndjson",
        "Connection: close",
    )
    connection.sendall("\r\n".join((f"POST {served.kind.noun}/batch HTTP/1.1", *headers, "", "")).encode())
    send(connection, f"--{BOUNDARY}\r\n".encode())
    return connection


def send(connection: socket.socket, data: bytes) -> None:
    connection.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def rest(connection: socket.socket) -> bytes:
    received = b""
    while more := connection.recv(65536):
        received += more
    return received


def test_answers_come_while_photographs_are_sent(small: Served) -> None:
    with begin(small) as connection:
        for number in range(3):
            send(connection, part(f"{number}.png", GOOD, last=number == 2))
            received = b""
            while f'"file": "{number}.png"'.encode() not in received:
                more = connection.recv(65536)
                assert more, received
                received += more
        connection.sendall(b"0\r\n\r\n")
        assert rest(connection).endswith(b"0\r\n\r\n")


def test_a_batch_that_breaks_off_is_gone_on_with(small: Served) -> None:
    """The last line has an error and no place; what has no line is sent again."""
    names = [f"{number}.png" for number in range(4)]
    with begin(small) as connection:
        for name in names[:2]:
            send(connection, part(name, GOOD))
        send(connection, part(names[2], GOOD)[:60])
        received = rest(connection).decode()  # nothing comes for as long as it waits
    lines = [json.loads(line) for line in received.splitlines() if line.startswith("{")]
    assert [line.get("file") for line in lines] == [*names[:2], None]
    assert lines[-1]["error"]["code"] == "DEADLINE_EXCEEDED"
    missing = [name for name in names if name not in {line.get("file") for line in lines}]
    assert [row["file"] for row in opened(post(small, [(name, GOOD) for name in missing]))] == missing


def test_who_hangs_up_holds_nothing(small: Served) -> None:
    with begin(small) as connection:
        send(connection, part("a.png", GOOD) + part("b.png", bytes(500_000))[:-10])
        until(lambda: small.metric("maquette_bytes_received") > 400_000, lambda: "it does not arrive")
    until(lambda: small.metric("maquette_bytes_received") == 0, lambda: "bytes are not given back")


@pytest.mark.parametrize(
    "sent",
    [
        {"data": {"top_k": "-1"}, "files": [("images", ("a.png", GOOD))] * 2},
        {"data": {"top_n": "1"}, "files": [("images", ("a.png", GOOD))]},
        {"files": [("image", ("a.png", GOOD)), ("images", ("b.png", GOOD))]},
        {"files": [("images", ("a.png", GOOD)), ("image", ("b.png", GOOD))]},
        {"files": [("images", ("a.png", GOOD)), ("top_k", (None, "1"))]},
    ],
    ids=["value", "name", "first-field", "later-field", "order"],
)
def test_who_is_refused_holds_nothing(small: Served, sent: dict[str, Any]) -> None:
    assert small.http.post(f"{small.kind.noun}/batch", **sent).is_success in (True, False)
    until(lambda: small.metric("maquette_bytes_received") == 0, lambda: "bytes are not given back")


def test_batches_at_once_are_bounded(small: Served) -> None:
    with begin(small) as first, begin(small) as second:
        for connection in (first, second):
            send(connection, part("a.png", GOOD))
            assert b"200 OK" in connection.recv(65536)
        with pytest.raises(Refused) as caught:
            read(post(small, [("a.png", GOOD)]))
        assert (caught.value.code, caught.value.retry_after) == ("OVERLOADED", 1)
        assert small.call("http", GOOD)["predictions"], "single calls go on"
    until(lambda: post(small, [("a.png", GOOD)]).status_code == httpx.codes.OK, lambda: "no place is given back")


@pytest.mark.parametrize(
    ("parts", "code", "sentence"),
    [
        ([("photo", ("a.png", GOOD))], "IMAGE_MISSING", "The file `a.png` is in the field `photo`; send it in `images`."),
        ([("image", ("a.png", GOOD))], "IMAGE_MISSING", "is in the field `image`; send it in `images`."),
        ([("top_k", (None, "1"))], "IMAGE_MISSING", "in the multipart field `images`"),
        ([("id", (None, "x" * 257)), ("images", ("a.png", GOOD))], "PARAMETER_INVALID", "at most 256"),
    ],
)
def test_what_is_wrong_with_the_whole(running: dict[str, Served], parts: Any, code: str, sentence: str) -> None:
    with pytest.raises(Refused) as caught:
        read(running["classify"].http.post("/v1/classifications/batch", files=parts))
    assert caught.value.code == code
    assert sentence in caught.value.detail


@pytest.mark.parametrize(
    ("parts", "rows", "sentence"),
    [
        ([("images", "a.png"), ("id", None), ("images", "b.png")], 1, "send each `id` before its file"),
        ([("images", "a.png"), ("top_k", None)], 1, "comes after a file"),
        ([("id", None), ("id", None), ("images", "a.png")], 1, "1 ids more than files"),
    ],
    ids=["late-id", "late-parameter", "too-many-ids"],
)
def test_what_goes_wrong_later_is_the_last_line(running: dict[str, Served], parts: Any, rows: int, sentence: str) -> None:
    sent = [(field, (name, GOOD if name else b"1")) for field, name in parts]
    served = running["classify"]
    lines = opened(served.http.post("/v1/classifications/batch", files=sent, headers=LINES))
    assert [line["index"] for line in lines if "index" in line] == list(range(rows))
    assert sentence in lines[-1]["error"]["detail"]
    assert "index" not in lines[-1]


def test_a_file_astray_is_one_row_s_error(running: dict[str, Served]) -> None:
    parts = [("images", ("a.png", GOOD)), ("image", ("b.png", GOOD)), ("images", ("c.png", GOOD))]
    rows = opened(running["classify"].http.post("/v1/classifications/batch", files=parts))
    assert [row.get("error", {}).get("code") for row in rows] == [None, "IMAGE_MISSING", None]


def test_two_values_of_one_parameter_are_refused(running: dict[str, Served]) -> None:
    served = running["classify"]
    form = {"image": ("a.png", GOOD)}
    assert (
        len(read(served.http.post(served.kind.noun, params={"top_k": 1}, data={"top_k": "1"}, files=form))["predictions"]) == 1
    )
    with pytest.raises(Refused, match="is given as `1` and as `2`; send it once"):
        read(served.http.post(served.kind.noun, params={"top_k": 1}, data={"top_k": "2"}, files=form))


@pytest.mark.parametrize("name", KINDS)
def test_old_paths_answer_as_before(running: dict[str, Served], name: str) -> None:
    served = running[name]
    old = read(served.http.post(served.kind.path, content=GOOD, params={"id": "17"}))
    new = read(served.http.post(served.kind.noun, content=GOOD, params={"id": "17"}))
    assert alike(old | {"request_id": ""}, new | {"request_id": ""})
    assert read(served.http.get("/v1/model")) == read(served.http.get(f"/v1/models/{name.replace('_', '-')}"))
