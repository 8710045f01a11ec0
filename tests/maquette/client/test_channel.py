from __future__ import annotations

import json
import re
from pathlib import Path

import grpc
import pytest

from maquette.client.channel import Address
from maquette.client.errors import ParameterInvalid
from maquette.client.services import CONTRACTS, Service
from tests.maquette.conftest import ROOT, photograph
from tests.maquette.server import Server


@pytest.mark.parametrize(
    ("server", "target", "tls"),
    [
        ("localhost", "localhost:50052", False),
        ("museum.example:7000", "museum.example:7000", False),
        ("grpc://museum.example", "museum.example:50052", False),
        ("http://museum.example:80/", "museum.example:80", False),
        ("https://museum.example:443", "museum.example:443", True),
        ("grpcs://museum.example", "museum.example:50052", True),
        ("10.0.0.7", "10.0.0.7:50052", False),
        ("[::1]:9", "[::1]:9", False),
        ("[::1]", "[::1]:50052", False),
    ],
)
def test_what_a_server_may_be_called(server: str, target: str, tls: bool) -> None:
    address = Address.parse(server, Service.CLUSTER_ASSIGN)
    assert (address.target, address.tls) == (target, tls)


def test_a_ca_turns_tls_on() -> None:
    assert Address.parse("localhost", Service.CLASSIFY, ca=Path("ca.pem")).tls
    with pytest.raises(ParameterInvalid, match="http://"):
        Address.parse("http://localhost", Service.CLASSIFY, ca=Path("ca.pem"))


@pytest.mark.parametrize("server", ["", "ftp://x", "x:port", "x:0", "x:70000", "https://", "x/path", "user@x", "[::1", "://x"])
def test_what_is_no_server_is_quoted(server: str) -> None:
    with pytest.raises(ParameterInvalid, match=re.escape(repr(server))):
        Address.parse(server, Service.CLASSIFY)


@pytest.mark.parametrize("service", Service)
def test_the_contract_table_is_the_protos(service: Service) -> None:
    contract = CONTRACTS[service]
    (descriptor,) = contract.messages.DESCRIPTOR.services_by_name.values()
    streams = {name for name, method in descriptor.methods_by_name.items() if method.client_streaming}
    assert set(contract.unary_methods) == set(descriptor.methods_by_name) - streams
    assert f"{contract.method}Stream" in streams
    assert hasattr(contract.stub(grpc.insecure_channel("localhost:1")), contract.method)


def test_the_documented_service_config_is_one_that_grpc_takes_and_retries_by(server: Server) -> None:
    text = (ROOT / "docs" / "client.md").read_text("utf-8")
    (block,) = re.findall(r"```json\n(\{\s*\"loadBalancingConfig.*?)```", text, re.DOTALL)
    server.faults.overloaded_unary = 2
    contract = CONTRACTS[Service.CLASSIFY]
    with grpc.insecure_channel(server.address, [("grpc.service_config", json.dumps(json.loads(block)))]) as channel:
        request = contract.message("ClassifyRequest")(image=photograph(0))
        answer = contract.stub(channel).Classify(request, metadata=[("x-request-id", "r")], timeout=60)
    assert answer.predictions[0].label == "dark"
    assert server.seen.calls["Classify"] == 3
