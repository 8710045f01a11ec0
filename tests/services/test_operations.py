"""What operators see: probes, metrics, logs, documents, health, reflection, TLS."""

from __future__ import annotations

import http.client
import io
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import trustme
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from openapi_spec_validator import OpenAPIV31SpecValidator
from PIL import Image

from tests import tiny
from tests.files import encode
from tests.serving import KINDS, ROOT, Refused, Served, as_dict, on_both, until

GOOD = tiny.picture()
MASK = encode(Image.open(io.BytesIO(GOOD)).convert("L").point(lambda value: 255 * (value > 127)))
SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.fixture(params=KINDS)
def served(request: pytest.FixtureRequest, running: dict[str, Served]) -> Served:
    return running[request.param]


class TestPages:
    @pytest.mark.parametrize("path", ["/livez", "/readyz"])
    def test_probes(self, served: Served, path: str) -> None:
        assert served.http.get(path).status_code == httpx.codes.OK

    def test_document(self, served: Served) -> None:
        document = served.http.get("/docs.json").json()
        OpenAPIV31SpecValidator(document).validate()
        assert served.kind.path in document["paths"]
        assert set(served.kind.gets) < set(document["paths"])

    def test_every_path_of_the_document_is_there(self, served: Served) -> None:
        for path, methods in served.http.get("/docs.json").json()["paths"].items():
            for method, operation in methods.items():
                body: dict[str, Any] = {}
                if method == "post":
                    content = operation["requestBody"]["content"]
                    if form := content.get("multipart/form-data"):
                        fields = form["schema"]["properties"]
                        body = {"files": [("images" if "images" in fields else "image", ("picture.png", GOOD))]}
                        if "masks" in fields:
                            body = {"files": [("images", ("picture.png", GOOD)), ("masks", ("mask.png", MASK))]}
                    else:
                        assert set(content) == {"application/json"}
                        body = {"json": {"latent": [1, -2]}}
                answer = served.http.request(method, path, **body)
                assert answer.status_code == httpx.codes.OK, (method, path, answer.text)

    @pytest.mark.parametrize("path", ["/", "/docs"])
    def test_pages_ask_nobody_else(self, served: Served, path: str) -> None:
        """What is on them: tests/pages."""
        page = served.http.get(path)
        assert page.headers["content-type"].startswith("text/html")
        references = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert len(references) >= 3
        for reference in references:
            assert reference.startswith("./assets/")
            assert served.http.get(reference).status_code == httpx.codes.OK, reference


class TestMetrics:
    def test_are_prometheus_s(self, served: Served) -> None:
        served.call("http", GOOD)
        assert served.http.get("/metrics").headers["content-type"].startswith("text/plain; version=")
        assert served.metric("maquette_ready") == 1
        assert served.metric("maquette_batch_size_count") > 0
        assert served.metric("maquette_call_seconds_count", transport="http") > 0

    def test_unknown_paths_do_not_become_labels(self, served: Served) -> None:
        for number in range(5):
            served.http.get(f"/unknown-{number}")
        text = served.http.get("/metrics").text
        assert "unknown-" not in text
        assert served.metric("maquette_calls_total", method="other", code="NOT_FOUND") >= 5

    def test_unknown_methods_do_not_become_labels(self, served: Served) -> None:
        call = served.channel.unary_unary(f"/{served.kind.service.full_name}/Sculpt")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", timeout=30)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert "Sculpt" not in served.http.get("/metrics").text

    @on_both
    def test_both_transports_have_the_same_names(self, served: Served, transport: str) -> None:
        labels = {"service": served.kind.name, "transport": transport, "method": served.kind.rpc, "code": "OK"}
        before = served.metric("maquette_calls_total", **labels), served.metric("maquette_items_total", code="OK")
        served.call(transport, GOOD)
        after = served.metric("maquette_calls_total", **labels), served.metric("maquette_items_total", code="OK")
        assert after == (before[0] + 1, before[1] + 1)


@on_both
def test_a_call_leaves_one_line(served: Served, transport: str) -> None:
    request_id = f"line-of-{transport}"
    served.call(transport, GOOD, headers={"x-request-id": request_id})
    until(lambda: any(line.get("request_id") == request_id for line in served.log_lines), lambda: served.log)
    (line,) = [line for line in served.log_lines if line.get("request_id") == request_id]
    assert line["event"] == "call"
    assert line["level"] == "INFO"
    assert (line["service"], line["transport"], line["method"]) == (served.kind.name, transport, served.kind.rpc)
    assert line["code"] == "OK"
    assert line["seconds"] >= 0
    assert "time" in line


@on_both
def test_the_model(served: Served, transport: str) -> None:
    model = served.get(transport, "/v1/model")["model"]
    assert model["name"] == served.kind.name
    assert model["version"] == "0.0.1"
    assert len(model["sha256"]) == 64
    assert model["input"] == {"height": tiny.SIZE, "width": tiny.SIZE, "resize": "squash", "resize_rule": "RESIZE_RULE_SQUASH"}
    assert datetime.fromisoformat(model["create_time"]) == datetime.fromisoformat(model["created"])
    assert model["metrics"] == {"accuracy": 0.5}
    assert model["training_data"] == [{"name": "none", "items": 0, "licence": "none", "note": ""}]
    assert model["licence"] == "Apache-2.0"
    assert model["provider"] == "CPUExecutionProvider"
    assert "command" not in model


def test_questions_have_one_answer_on_both_transports(served: Served) -> None:
    for path in served.kind.gets:
        assert served.get("http", path) == served.get("grpc", path)


class TestHealth:
    def test_by_name_and_for_all(self, served: Served) -> None:
        stub = health_pb2_grpc.HealthStub(served.channel)
        for name in ("", served.kind.service.full_name):
            assert stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=30).status == SERVING
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(health_pb2.HealthCheckRequest(service="sculpture"), timeout=30)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


class TestReflection:
    def test_lists_the_services(self, served: Served) -> None:
        database = ProtoReflectionDescriptorDatabase(served.channel)
        assert set(database.get_services()) == {
            served.kind.service.full_name,
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
        }

    def test_a_client_needs_no_proto(self, served: Served) -> None:
        """As grpcurl does: descriptors from the server, a message made of them, and the call by its name."""
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(served.channel))
        service = pool.FindServiceByName(served.kind.service.full_name)
        method = service.FindMethodByName(served.kind.rpc)
        request_class, response_class = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
        call: Any = served.channel.unary_unary(
            f"/{service.full_name}/{method.name}",
            request_serializer=request_class.SerializeToString,
            response_deserializer=response_class.FromString,
        )
        answer = as_dict(call(request_class(image=GOOD), timeout=60))
        expected = served.call("grpc", GOOD)
        assert answer.pop("request_id") != expected.pop("request_id")
        assert answer == expected


KEY = "correct horse battery"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def fortress(serve: Callable[..., Served], authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Served:
    folder = tmp_path_factory.mktemp("tls")
    issued = authority.issue_cert("127.0.0.1", "localhost")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(key)
    paths: dict[str, Path] = {"tls_certificate": certificate, "tls_key": key}
    return serve("classify", authority, api_key=KEY, drain_seconds=2, **paths).until_ready()


class TestTls:
    """TLS and a key on both transports."""

    @on_both
    def test_answers(self, fortress: Served, transport: str) -> None:
        assert fortress.call(transport, GOOD, headers={"x-api-key": KEY})["predictions"]
        with pytest.raises(Refused, match="UNAUTHENTICATED"):
            fortress.call(transport, GOOD)

    def test_plain_text_is_not_served(self, fortress: Served) -> None:
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{fortress.http_port}/livez", timeout=30)
        with grpc.insecure_channel(f"127.0.0.1:{fortress.grpc_port}") as channel, pytest.raises(grpc.RpcError) as caught:
            fortress.kind.stub(channel).Classify(fortress.kind.request(GOOD), timeout=30)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

    def test_a_stranger_s_authority_is_not_trusted(self, fortress: Served) -> None:
        credentials = grpc.ssl_channel_credentials(trustme.CA().cert_pem.bytes())
        address = f"127.0.0.1:{fortress.grpc_port}"
        with grpc.secure_channel(address, credentials) as channel, pytest.raises(grpc.RpcError) as caught:
            fortress.kind.stub(channel).Classify(fortress.kind.request(GOOD), timeout=30)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

    def test_drains(self, fortress: Served) -> None:
        """The last of this class: it ends the service."""
        log = fortress.stop()
        assert fortress.process.returncode == 0, log


def test_a_taken_port_ends_the_second_service(running: dict[str, Served], serve: Callable[..., Served]) -> None:
    """Two services that silently shared a gRPC port would answer each other's calls."""
    taken = running["classify"].grpc_port
    second = serve("classify", grpc_port=taken)
    assert second.process.wait(60) == 2
    log = second.stop()
    assert log == f"maquette: port {taken} for classify is taken; end what listens there or set MAQUETTE_GRPC_PORT\n"


def test_a_relative_path_is_the_caller_s(bundles: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").symlink_to(bundles)
    environment = {"MAQUETTE_MODELS": "mine", "PYTHONPATH": str(ROOT)}
    served = Served("classify", tmp_path, environment, folder=tmp_path).until_ready()
    try:
        assert served.get("http", "/v1/model")["model"]["version"] == "0.0.1"
    finally:
        served.stop()


def test_http_1_0_and_keep_alive(running: dict[str, Served]) -> None:
    """Old harvesters speak it."""
    served = running["classify"]
    connection = http.client.HTTPConnection(served.host, served.http_port, timeout=60)
    try:
        for _ in range(2):
            connection.request("POST", served.kind.path, body=GOOD, headers={"content-type": "image/png"})
            response = connection.getresponse()
            assert response.status == httpx.codes.OK
            response.read()
    finally:
        connection.close()
