"""``make proto``: the stubs and descriptors of the contract, by protoc.

A proto imports others by the path that its package has, ``maquette/common/v1/common.proto``, as buf and other languages want
it. Python's stubs lie in the package ``protos``, beside the client's ``maquette``, and protoc names their modules after the
file. So it compiles twice: the protos to descriptors, and those, their files renamed, to stubs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import google.rpc
from google.protobuf.descriptor_pb2 import FileDescriptorSet

FOLDER = Path(__file__).parent
DESCRIPTORS = "protos/maquette.binpb"
_PROTOC = (sys.executable, "-m", "grpc_tools.protoc")
# google/rpc/status.proto comes with googleapis-common-protos.
_GOOGLE = Path(google.rpc.__path__[0]).parents[1]


def generate(out: Path) -> None:
    """Write ``protos/maquette.binpb`` and the stubs below ``out``."""
    own = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.glob("maquette/*/v1/*.proto"))
    (out / "protos").mkdir(exist_ok=True)
    descriptors = out / DESCRIPTORS
    sets = ("--include_imports", "--include_source_info", f"--descriptor_set_out={descriptors}")
    subprocess.run([*_PROTOC, f"-I{FOLDER}", f"-I{_GOOGLE}", *sets, *own], check=True)
    files = FileDescriptorSet.FromString(descriptors.read_bytes())
    for file in files.file:
        for number, name in enumerate(file.dependency):
            file.dependency[number] = _renamed(name)
        file.name = _renamed(file.name)
    plugin = Path(sys.executable).with_name("protoc-gen-mypy_grpc")
    kinds = [f"--{kind}_out={out}" for kind in ("python", "pyi", "grpc_python", "mypy_grpc")]
    with tempfile.TemporaryDirectory() as folder:
        renamed = Path(folder) / "renamed.binpb"
        renamed.write_bytes(files.SerializeToString())
        command = [*_PROTOC, f"--descriptor_set_in={renamed}", f"--plugin=protoc-gen-mypy_grpc={plugin}", *kinds]
        subprocess.run([*command, *map(_renamed, own)], check=True)


def _renamed(name: str) -> str:
    return f"protos/{name}" if name.startswith("maquette/") else name


if __name__ == "__main__":
    generate(FOLDER.parent)
