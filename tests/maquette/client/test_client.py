"""The client against a real server: answers, order, memory, and what happens when the server goes away."""

from __future__ import annotations

import hashlib
import io
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
import trustme

import maquette
from maquette import Client, Service
from tests import serving
from tests.maquette.conftest import photograph
from tests.maquette.server import VERSION, Server


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.address, key="secret") as connected:
        yield connected


def test_one_photograph_each(client: Client, folder: Path) -> None:
    assert client.classify(folder / "a.jpg").predictions[0].label == "dark"
    assert len(client.classify(str(folder / "a.jpg"), 2).predictions) == 2
    assert client.assign(photograph(200), neighbours=2).cluster.id == 1
    assert len(client.embed(photograph(0), features=True).features) == 3
    both = client.remove_background(photograph(0), "mask", frame="display", threshold=0.5)
    assert both.report.width == 40
    assert both.mask.startswith(b"\x89PNG")
    assert not both.cutout
    assert client.remove_background(photograph(0), "cutout").cutout


def test_about_the_models(client: Client) -> None:
    assert client.model("classify").version == client.model(Service.EMBED_LATENT).version == VERSION
    assert [cluster.size for cluster in client.clusters().clusters] == [5, 7]
    assert client.space().dimensions == 2
    with pytest.raises(maquette.ParameterInvalid, match="'paint' is no service"):
        client.model("paint")


def test_every_call_carries_the_key_and_an_id(client: Client, server: Server) -> None:
    answer = client.classify(photograph(0))
    list(client.classify_many([photograph(0)] * 3))
    assert [seen["x-api-key"] for seen in server.seen.metadata] == ["secret"] * 2
    assert answer.request_id == server.seen.metadata[0]["x-request-id"]
    assert uuid.UUID(answer.request_id) != uuid.UUID(server.seen.metadata[1]["x-request-id"])


def test_a_wrong_key_is_said_at_once() -> None:
    with Server(key="right") as server, Client(server.address, key="wrong") as client:
        with pytest.raises(maquette.Unauthenticated):
            client.classify(photograph(0))
        with pytest.raises(maquette.Unauthenticated):
            list(client.classify_many([photograph(0)] * 3))
        assert server.seen.calls == {"Classify": 1, "ClassifyStream": 1}


def test_the_environment_names_server_and_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAQUETTE_SERVER", server.address)
    monkeypatch.setenv("MAQUETTE_KEY", "from the environment")
    with Client() as client:
        client.classify(photograph(0))
    assert server.seen.metadata[0]["x-api-key"] == "from the environment"


def test_a_service_that_there_is_not_is_refused_as_a_key() -> None:
    with pytest.raises(maquette.ParameterInvalid, match=r"'remove-background' is no service; .* remove_background"):
        Client({"classify": "localhost", "remove-background": "museum.example:50054"})


def test_a_file_object_is_read_from_where_it_stands(client: Client, folder: Path) -> None:
    with (folder / "a.jpg").open("rb") as stream:
        assert client.classify(stream).predictions[0].label == "dark"
    packed = io.BytesIO(b"before" + photograph(250))
    packed.seek(6)
    (answer,) = client.classify_many([packed])
    assert (answer.path, answer.result().predictions[0].label) == (None, "bright")
    assert answer.sha256 == hashlib.sha256(photograph(250)).hexdigest()
    with pytest.raises(maquette.ParameterInvalid, match="binary mode"):
        client.classify(io.StringIO("text"))  # type: ignore[arg-type]


def test_one_address_a_service(server: Server) -> None:
    with Client({"classify": server.address}) as client:
        client.classify(photograph(0))
        assert client.address(Service.EMBED_LATENT).target == "localhost:50053"


def test_errors_are_typed_and_say_what_to_do(client: Client, tmp_path: Path) -> None:
    with pytest.raises(maquette.ImageRejected) as caught:
        client.classify(b"not an image")
    assert (caught.value.code, caught.value.detail) == ("IMAGE_UNDECODABLE", "The bytes are not an image.")
    assert uuid.UUID(caught.value.request_id)
    with pytest.raises(maquette.ParameterInvalid, match="top_k takes 1 to 3"):
        client.classify(photograph(0), 99)
    with pytest.raises(maquette.ParameterInvalid, match="top_k=-1"):
        client.classify(photograph(0), -1)
    with pytest.raises(maquette.ParameterInvalid, match="top_k=-1"):
        client.classify_many([photograph(0)], -1)
    with pytest.raises(maquette.FileFailed, match="cannot be read"):
        client.classify(tmp_path / "gone.jpg")
    with pytest.raises(maquette.ParameterInvalid):
        Client("localhost", key="new\nline")


def test_many_in_order_with_bad_ones_among_them(client: Client, tmp_path: Path) -> None:
    levels = [index * 7 % 256 for index in range(100)]
    images: list[bytes | Path] = [photograph(level, "PNG") for level in levels]
    images[0] = tmp_path / "gone.jpg"
    images[40], images[41] = b"not an image", b""
    images[99] = tmp_path / "gone too.jpg"
    answers = list(client.embed_many(images))
    assert [answer.index for answer in answers] == list(range(100))
    errors = {answer.index: answer.error.code for answer in answers if answer.error}
    assert errors == {0: "FILE_UNREADABLE", 40: "IMAGE_UNDECODABLE", 41: "IMAGE_MISSING", 99: "FILE_UNREADABLE"}
    alone = client.embed(images[7]).latent
    assert answers[7].result().latent == pytest.approx(alone, abs=1e-5)
    with pytest.raises(maquette.ImageRejected):
        answers[40].result()


def test_nothing_gives_nothing(client: Client) -> None:
    assert list(client.classify_many([])) == []


def test_no_more_is_read_than_is_in_flight(client: Client) -> None:
    read, taken, most = 0, 0, 0

    def images() -> Iterator[bytes]:
        nonlocal read, most
        for _ in range(60):
            read += 1
            most = max(most, read - taken)
            yield photograph(0)

    for _ in client.classify_many(images(), in_flight=4):
        taken += 1
    assert taken == 60
    assert most <= 5  # four that are out, and one whose answer has come but is not yet counted here


def test_an_exception_of_the_source_reaches_the_caller_after_the_answers(client: Client) -> None:
    def images() -> Iterator[bytes]:
        yield photograph(0)
        raise KeyError("the catalogue has no such row")

    answers = client.classify_many(images())
    assert next(answers).response is not None
    with pytest.raises(KeyError, match="catalogue"):
        next(answers)


def test_a_caller_may_stop_early(client: Client) -> None:
    stop = threading.Event()

    def images() -> Iterator[bytes]:
        while not stop.is_set():
            yield photograph(0)

    answers = client.classify_many(images())
    assert next(answers).response is not None
    answers.close()  # type: ignore[attr-defined]
    assert client.classify(photograph(0)).model_version == VERSION
    stop.set()


def test_a_full_service_is_asked_again(client: Client, server: Server) -> None:
    server.faults.overloaded_unary = 2
    assert client.classify(photograph(0)).model_version == VERSION
    assert server.seen.calls["Classify"] == 3


def test_a_large_photograph_is_asked_again_too(client: Client, server: Server) -> None:
    """More than gRPC's retry buffer holds unless told."""
    server.faults.overloaded_unary = 1
    assert client.classify(photograph(0) + bytes(3_000_000)).model_version == VERSION
    assert server.seen.calls["Classify"] == 2


def test_an_item_that_met_a_full_service_is_asked_again(client: Client, server: Server) -> None:
    server.faults.overloaded_items, server.faults.overloaded_unary = 2, 1
    answers = list(client.classify_many([photograph(0)] * 5))
    assert [answer.error for answer in answers] == [None] * 5
    assert server.seen.calls == {"ClassifyStream": 1, "Classify": 3}


def test_a_broken_stream_goes_on_where_it_was(client: Client, server: Server) -> None:
    server.faults.break_streams, server.faults.break_after = 3, 2
    images = [photograph(level, "PNG") for level in range(0, 200, 10)]
    answers = list(client.embed_many(images, in_flight=5))
    assert [answer.index for answer in answers] == list(range(20))
    alone = [client.embed(image).latent[0] for image in images]
    assert [answer.result().latent[0] for answer in answers] == pytest.approx(alone, abs=1e-5)
    assert server.seen.calls["EmbedStream"] == 4
    assert set(server.seen.items) == set(images)
    assert len(server.seen.items) < 20 + 3 * 5 + 1  # only what was unanswered is sent again


def test_a_draining_service_is_left_and_its_items_sent_again(client: Client, server: Server) -> None:
    server.faults.draining_items, server.faults.break_after = 1, 2
    answers = list(client.classify_many([photograph(0)] * 6))
    assert [answer.error for answer in answers] == [None] * 6
    assert server.seen.calls == {"ClassifyStream": 2}


def test_a_call_that_the_service_cancels_is_made_again(client: Client, server: Server) -> None:
    server.faults.cancelled = 1
    assert client.classify(photograph(0)).predictions
    server.faults.cancelled = 1
    assert [answer.error for answer in client.classify_many([photograph(0)] * 3)] == [None] * 3
    assert server.seen.calls == {"Classify": 2, "ClassifyStream": 2}


def test_a_call_that_this_side_closes_is_not_made_again(server: Server) -> None:
    server.faults.hang_unary = 1
    with Client(server.address) as client, ThreadPoolExecutor(1) as pool:
        call = pool.submit(client.classify, photograph(0))
        serving.until(lambda: server.seen.calls["Classify"], lambda: "the call did not arrive")
        client.close()
        with pytest.raises(maquette.MaquetteError, match="closed during the call"):
            call.result()
    assert server.seen.calls == {"Classify": 1}


def test_an_item_that_breaks_the_stream_is_that_items_error(client: Client, server: Server) -> None:
    images = [photograph(0)] * 6
    images[3] = server.faults.poison
    answers = list(client.classify_many(images))
    assert [answer.error.code if answer.error else "" for answer in answers] == ["", "", "", "IMAGE_UNDECODABLE", "", ""]
    assert server.seen.calls == {"ClassifyStream": 2, "Classify": 1}


def test_a_message_over_the_servers_limit_is_that_items_error() -> None:
    small = (("grpc.max_receive_message_length", 100_000),)
    with Server(options=small) as server, Client(server.address, patience=0) as client:
        answers = list(client.classify_many([photograph(0), photograph(0) + bytes(200_000), photograph(0)]))
    assert [answer.error.code if answer.error else "" for answer in answers] == ["", "IMAGE_TOO_MANY_BYTES", ""]


def test_a_server_that_hangs_is_left(server: Server) -> None:
    server.faults.hang_streams = 1
    with Client(server.address, timeout=1) as client:
        assert [answer.error for answer in client.classify_many([photograph(0)] * 3)] == [None] * 3
    assert server.seen.calls["ClassifyStream"] >= 2


def test_a_server_that_hangs_ends_the_call_when_patience_does(server: Server) -> None:
    """All attempts together take no longer than patience or, where that is longer, one timeout."""
    server.faults.hang_streams = server.faults.hang_unary = 99
    for patience, most in ((1.0, 1), (3.0, 4)):
        server.seen.calls.clear()
        server.seen.items.clear()
        with Client(server.address, timeout=1, patience=patience) as client:
            with pytest.raises(maquette.DeadlineExceeded, match=r"No answer came for"):
                list(client.classify_many([photograph(0)] * 3))
            with pytest.raises(maquette.DeadlineExceeded):
                client.classify(photograph(0))
        assert 1 <= server.seen.calls["ClassifyStream"] <= most
        assert server.seen.calls["Classify"] == 1  # who waited for the whole timeout is not made to wait again


def test_a_caller_who_takes_long_loses_no_patience(server: Server) -> None:
    """The stream breaks while the next image is not there yet, longer than patience lasts."""
    server.faults.break_streams, server.faults.break_after = 1, 1

    def images() -> Iterator[bytes]:
        yield photograph(0)
        time.sleep(1.5)
        yield photograph(0)

    with Client(server.address, patience=1) as client:
        answers = [answer.error for answer in client.classify_many(images())]
    assert answers == [None, None]
    assert server.seen.calls["ClassifyStream"] == 2


def test_a_late_stream_has_the_whole_timeout_for_further_answers(server: Server) -> None:
    """The second stream is opened when the budget is nearly spent; its second answer may take as long as any."""
    server.faults.hang_streams = 1
    server.faults.slow_answers = 1.3
    with Client(server.address, timeout=2, patience=3.5) as client:
        answers = [answer.error for answer in client.classify_many([photograph(0)] * 3)]
    assert answers == [None] * 3
    assert server.seen.calls["ClassifyStream"] == 2


def test_a_full_service_gets_each_photograph_as_often_as_patience_says_and_no_more(server: Server) -> None:
    server.faults.overloaded_items = server.faults.overloaded_unary = 99
    with Client(server.address, patience=2) as client:
        (answer,) = client.classify_many([photograph(0)])
    assert isinstance(answer.error, maquette.Overloaded)
    assert server.seen.calls["ClassifyStream"] == 1
    assert server.seen.calls["Classify"] in (2, 3)  # about 0.5 and 1 s are waited, and each a little more


def test_a_server_that_comes_back_is_found_again(client: Client, server: Server) -> None:
    """Stopped with items in flight and started on the same port: no answer is lost, for unary calls and for streams."""
    answers = client.classify_many([photograph(0)] * 50, in_flight=4)
    received = [next(answers) for _ in range(10)]
    server.stop()
    timer = threading.Timer(1, server.start)
    timer.start()
    received += answers
    timer.join()
    assert [answer.index for answer in received] == list(range(50))
    assert not any(answer.error for answer in received)

    server.stop()
    timer = threading.Timer(1, server.start)
    timer.start()
    assert client.classify(photograph(0)).model_version == VERSION
    timer.join()


def test_nobody_there_is_said_after_the_attempts(server: Server) -> None:
    server.stop()
    with (
        Client(server.address, patience=0.5) as client,
        pytest.raises(maquette.Unavailable, match=f"No service answers at {server.address}"),
    ):
        client.classify(photograph(0))
    server.start()


def test_tls_with_a_private_authority(tmp_path: Path) -> None:
    authority, other = trustme.CA(), trustme.CA()
    certificate = authority.issue_cert("localhost")
    chain = b"".join(part.bytes() for part in certificate.cert_chain_pems)
    credentials = grpc.ssl_server_credentials([(certificate.private_key_pem.bytes(), chain)])
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    other.cert_pem.write_to_path(tmp_path / "other.pem")
    with Server(credentials=credentials) as server:
        for address in (server.address, f"grpcs://{server.address}", f"https://{server.address}"):
            with Client(address, ca=tmp_path / "ca.pem") as client:
                assert client.classify(photograph(0)).model_version == VERSION
        with Client(server.address, ca=tmp_path / "other.pem", patience=0) as client, pytest.raises(maquette.Unavailable):
            client.classify(photograph(0))
        with Client(server.address, ca=tmp_path / "gone.pem") as client, pytest.raises(maquette.FileFailed, match=r"gone\.pem"):
            client.classify(photograph(0))
