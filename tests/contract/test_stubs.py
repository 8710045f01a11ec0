"""The committed stubs are what the compiler makes of the protos."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from protos.generate import generate
from tests.serving import ROOT

PROTOS = sorted(path.relative_to(ROOT) for path in (ROOT / "protos").rglob("*.proto"))


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``make proto`` writes, in a folder of its own."""
    out = tmp_path_factory.mktemp("stubs")
    generate(out)
    return out


def test_stubs_are_current(generated: Path) -> None:
    fresh = {path.relative_to(generated): path.read_text() for path in generated.rglob("*.py*")}
    committed = {
        path.relative_to(ROOT): path.read_text() for path in (ROOT / "protos").rglob("*_pb2*.py*") if path.suffix != ".pyc"
    }
    assert len(fresh) == 4 * len(PROTOS)
    assert fresh.keys() == committed.keys()
    assert [str(path) for path in fresh if fresh[path] != committed[path]] == []


def test_descriptors_are_current(generated: Path) -> None:
    fresh, committed = (
        FileDescriptorSet.FromString((root / "protos/maquette.binpb").read_bytes()) for root in (generated, ROOT)
    )
    assert {file.name: file for file in fresh.file} == {file.name: file for file in committed.file}


def ours(descriptors: FileDescriptorSet) -> list[FileDescriptorProto]:
    """Without Google's, which ours import."""
    return [file for file in descriptors.file if file.package.startswith("maquette.")]


def buf(*arguments: str) -> str:
    """What buf has to say of the contract; empty where it is content."""
    program = Path(sys.executable).with_name("buf")
    done = subprocess.run([program, *arguments, "--config", "buf.yaml"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr


def test_buf_lints_the_protos() -> None:
    assert buf("lint", "protos/maquette.binpb", "--path", "maquette") == ""


def test_nothing_that_was_released_breaks() -> None:
    """``protos/released.binpb`` is the contract of the last release, or what was first promised; a release writes it anew."""
    assert buf("breaking", "protos/maquette.binpb", "--against", "protos/released.binpb") == ""


def test_every_part_of_the_protos_has_a_comment() -> None:
    """It becomes the description in /docs.json."""
    descriptors = FileDescriptorSet.FromString((ROOT / "protos/maquette.binpb").read_bytes())
    for file in ours(descriptors):
        commented = {tuple(at.path) for at in file.source_code_info.location if at.leading_comments.strip()}
        for i, message in enumerate(file.message_type):
            assert (4, i) in commented, f"{file.name}: {message.name}"
            for j, field in enumerate(message.field):
                assert (4, i, 2, j) in commented, f"{file.name}: {message.name}.{field.name}"
        for i, enum in enumerate(file.enum_type):
            for j, value in enumerate(enum.value):
                assert (5, i, 2, j) in commented, f"{file.name}: {enum.name}.{value.name}"
        for i, service in enumerate(file.service):
            for j, method in enumerate(service.method):
                assert (6, i, 2, j) in commented, f"{file.name}: {service.name}.{method.name}"


def test_requests_and_responses_are_of_one_rpc_each() -> None:
    descriptors = FileDescriptorSet.FromString((ROOT / "protos/maquette.binpb").read_bytes())
    for file in ours(descriptors):
        for service in file.service:
            used = [name for method in service.method for name in (method.input_type, method.output_type)]
            assert len(used) == len(set(used)), service.name
            for method in service.method:
                assert method.input_type.endswith(f".{method.name}Request")
                assert method.output_type.endswith(f".{method.name}Response")
