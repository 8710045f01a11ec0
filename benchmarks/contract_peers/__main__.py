"""The same dozen questions to our services and to what else serves image models.

    python3.11 -m venv REMBG && REMBG/bin/pip install 'rembg[cpu,cli]'
    python3.11 -m venv MLSERVER && MLSERVER/bin/pip install mlserver onnxruntime pillow
    python3.11 -m venv KSERVE && KSERVE/bin/pip install kserve onnxruntime pillow
    python -m benchmarks.contract_peers --rembg REMBG/bin/python --mlserver MLSERVER/bin/python --kserve KSERVE/bin/python \
      --json benchmarks/results/contract_peers.json

A peer that is not named is left out. Memory is the peak of the server's processes above what they had before the question.
"""

from __future__ import annotations

import io
import json
import re
import tempfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Annotated, Any

import grpc
import httpx
import numpy as np
import onnx
import psutil
import typer
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from PIL import Image

from benchmarks.contract_peers import peers
from benchmarks.contract_peers.peers import ROOT, Peer
from protos.maquette.classify.v1 import classify_pb2, classify_pb2_grpc
from protos.maquette.remove_background.v1 import remove_background_pb2, remove_background_pb2_grpc

GOOD = (ROOT / "samples" / "statue.jpg").read_bytes()
BROKEN, CUT = b"no image " * 100, GOOD[: len(GOOD) // 2]
OVERSIZE = 300 * 2**20
CLASSIFY = classify_pb2_grpc.ClassifyServiceStub, classify_pb2.ClassifyRequest
MASKS = remove_background_pb2_grpc.RemoveBackgroundServiceStub, remove_background_pb2.RemoveBackgroundRequest
HINTS = '{"points":[{"x":320,"y":620,"mark":"background"}]}'


def main(
    rembg: Annotated[Path | None, typer.Option(help="Python of an environment with rembg")] = None,
    mlserver: Annotated[Path | None, typer.Option()] = None,
    kserve: Annotated[Path | None, typer.Option()] = None,
    only: Annotated[list[str] | None, typer.Option(help="ask this server; may be given several times")] = None,
    output: Annotated[
        Path | None, typer.Option("--json", help="also write the answers here, beside those of other servers")
    ] = None,
) -> None:
    """Ask, print the answers, and write them."""
    rows = json.loads(output.read_text())["rows"] if output and output.exists() else []
    with tempfile.TemporaryDirectory() as scratch, _Near() as near:
        starts: dict[str, Callable[[], tuple[Any, ...]]] = {
            "classify": lambda: peers.ours("classify", "classifications", CLASSIFY),
            "remove_background": lambda: peers.ours("remove_background", "masks", MASKS),
            "litserve": lambda: (peers.litserve(),),
            "rembg": lambda: (peers.rembg(rembg, _stand_in(Path(scratch))),),
            "mlserver": lambda: (peers.mlserver(mlserver, Path(scratch)),),
            "kserve": lambda: (peers.kserve(kserve),),
        }
        named = {"rembg": rembg, "mlserver": mlserver, "kserve": kserve}
        for name in only or [name for name in starts if named.get(name, True)]:
            row = _answers(near, *starts[name]())
            rows = [*(one for one in rows if one["server"] != row["server"]), row]
            if output:
                made = {"command": "python -m benchmarks.contract_peers", "rows": rows}
                output.write_text(json.dumps(made, indent=1) + "\n")
    print(table(rows))


def _answers(near: _Near, started: Any, contract: Any = None, port: int = 0) -> dict[str, Any]:
    with started as peer:
        row: dict[str, Any] = {"server": peer.name, "version": peer.version, "readiness": " -> ".join(peer.started)}
        if peer.started[-1:] != ["200"]:
            print(json.dumps(row | {"error": "it never became ready"}), flush=True)
            return row
        bomb = _bomb()
        questions: dict[str, Callable[[], Any]] = {
            "a photograph": lambda: peer.ask(GOOD),
            "no image": lambda: peer.ask(None),
            "bytes that are no image": lambda: peer.ask(BROKEN),
            "a JPEG cut in half": lambda: peer.ask(CUT),
            "a PNG of 169 megapixels in 20 KB": lambda: peer.ask(bomb),
            "a body of 300 MiB": lambda: peer.ask(bytes(OVERSIZE)),
            "a parameter that is none": lambda: _compared(peer, top_k="minus one", threshold="minus one"),
            "an address in the place of the image": lambda: near.asked_by(peer),
            "three images, the second broken": lambda: _items(peer.ask(GOOD, BROKEN, GOOD)),
            "broken bytes over gRPC": lambda: (
                _ours_over_grpc(*contract, port, BROKEN) if contract else peer.grpc_answer(BROKEN)
            ),
            "a mark on the photograph": lambda: _compared(peer, hints=HINTS),
            "where the answer is from": lambda: _provenance(peer),
        }
        for question, ask in questions.items():
            row[question] = _measured(peer, ask)
            print(json.dumps({peer.name: {question: row[question]}}), flush=True)
        return row


def _measured(peer: Peer, ask: Callable[[], Any]) -> dict[str, Any]:
    """What came, how much memory that took, and whether a good photograph is answered afterwards."""
    with _Memory(peer.process) as memory:
        try:
            answer = ask()
        except httpx.TransportError as error:
            answer = f"no answer, {type(error).__name__}"
    said = {"answer": answer} if isinstance(answer, str) else _shown(answer)
    try:
        after = peer.ask(GOOD).status_code
    except httpx.TransportError:
        after = 0
    return {**said, "MiB": memory.peak, "then": after}


def _shown(response: httpx.Response) -> dict[str, Any]:
    kind = response.headers.get("content-type", "").partition(";")[0]
    text = response.text if kind.startswith(("application/", "text/")) else f"<{len(response.content)} bytes>"
    text = re.sub(r"/[^\s\"]*/(site-packages|lib)", r"\1", " ".join(text.split()))
    return {"answer": f"{response.status_code}{_code(response)}", "type": kind, "body": text[:300]}


def _code(response: httpx.Response) -> str:
    """The stable code of an error, or that it is a traceback."""
    if response.is_success:
        return ""
    found = re.search(r'"code":\s*"(\w+)"', response.text)
    return f" `{found[1]}`" if found else ", a traceback" if "Traceback" in response.text else ", no code"


def _compared(peer: Peer, **parameters: str) -> str:
    """Whether a parameter is refused, ignored or heeded."""
    response = peer.ask(GOOD, **parameters)
    if not response.is_success:
        return f"{response.status_code}{_code(response)}"
    same = _without_ids(response) == _without_ids(peer.ask(GOOD))
    return f"{response.status_code}, {'ignored' if same else 'heeded'}"


def _without_ids(response: httpx.Response) -> bytes:
    return re.sub(rb'"(request_)?id":\s*"[^"]*"', b"", response.content)


def _items(response: httpx.Response) -> str:
    """How many answers came for three images, and how many errors."""
    if not response.is_success:
        return f"{response.status_code}{_code(response)}, no answer"
    made = response.json() if "json" in response.headers["content-type"] else None
    errors = [one["error"]["code"] for one in made if "error" in one] if isinstance(made, list) else []
    answers = len(made) - len(errors) if isinstance(made, list) else 1
    return f"{response.status_code}, {answers} of 3 answered" + "".join(f", 1 `{code}`" for code in errors)


def _provenance(peer: Peer) -> str:
    """What an answer and the server's word on its model say of where the answer is from."""
    text = peer.ask(GOOD).text + (peer.http.get(peer.facts).text if peer.facts else "")
    version = re.search(r'"(?:model_)?version":\s*"([\w.]+)"', text)
    facts = [name for name in ("sha256", "training_data", "metrics", "licence") if f'"{name}"' in text]
    return ", ".join([*([f"version {version[1]}"] if version else []), *facts]) or "nothing"


def table(rows: list[dict[str, Any]]) -> str:
    """The answers as the table of docs/peers.md: a question a line, a server a column; memory from 100 MiB on."""

    def cell(row: dict[str, Any], question: str) -> str:
        said = row[question]
        if isinstance(said, str):
            return said
        memory = f", +{said['MiB']:,} MiB" if said["MiB"] >= 100 else ""
        return f"{said['answer']}{memory}".replace("|", "/")

    head = ["| question |", *(f" {row['server']} {row['version']} |" for row in rows)]
    lines = ["".join(head), "|---" * (len(rows) + 1) + "|"]
    questions = [name for name in rows[0] if name not in ("server", "version")]
    lines += ["".join([f"| {question} |", *(f" {cell(row, question)} |" for row in rows)]) for question in questions]
    return "\n".join(lines) + "\n"


def _ours_over_grpc(stub: Any, request: Any, port: int, image: bytes) -> str:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        made = stub(channel)
        try:
            getattr(made, request.DESCRIPTOR.name.removesuffix("Request"))(request(image=image), timeout=30)
        except grpc.RpcError as error:
            info, status = error_details_pb2.ErrorInfo(), rpc_status.from_call(error)
            for detail in status.details if status else ():
                detail.Unpack(info) if detail.Is(info.DESCRIPTOR) else None
            return f"{error.code().name} `{info.reason}`"
    return "OK"


def _bomb() -> bytes:
    """As many pixels as Pillow by itself takes with no more than a warning: in RGB half a gigabyte."""
    stream = io.BytesIO()
    Image.new("1", (13_000, 13_000)).save(stream, "PNG")
    return stream.getvalue()


def _stand_in(folder: Path) -> Path:
    """A graph with U2-Net's input and output that takes the first channel for the mask."""
    make = onnx.helper
    picture = make.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [1, 3, 320, 320])
    mask = make.make_tensor_value_info("mask", onnx.TensorProto.FLOAT, [1, 1, 320, 320])
    bounds = [
        onnx.numpy_helper.from_array(np.array([value], np.int64), name) for name, value in (("from", 0), ("to", 1), ("axis", 1))
    ]
    node = make.make_node("Slice", ["input", "from", "to", "axis"], ["mask"])
    model = make.make_model(
        make.make_graph([node], "first", [picture], [mask], bounds), opset_imports=[make.make_opsetid("", 17)], ir_version=9
    )
    (folder / ".rembg").mkdir(exist_ok=True)
    onnx.save(model, folder / ".rembg" / "stand-in.onnx")
    return folder / ".rembg" / "stand-in.onnx"


class _Memory:
    """The peak of the resident memory of a process and its children, MiB above the start."""

    def __init__(self, process: psutil.Process) -> None:
        self._process, self._over = process, threading.Event()
        self.peak = 0

    def __enter__(self) -> _Memory:
        self._before = self._now()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self.peak = max(self.peak, round((self._now() - self._before) / 2**20))

    def _now(self) -> int:
        total = 0
        for one in [self._process, *self._process.children(recursive=True)]:
            try:
                total += one.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total


class _Near:
    """A server on this machine that nobody should be led to."""

    def __enter__(self) -> _Near:
        near = self
        self.calls = 0

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                near.calls += 1
                self.send_response(200)
                self.end_headers()
                self.wfile.write(GOOD)

            def log_message(self, *words: Any) -> None:
                del words

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def asked_by(self, peer: Peer) -> str:
        """Whether the server asked for an address that stands where an image should."""
        self.calls = 0
        url = f"http://127.0.0.1:{self._server.server_port}/image.jpg"
        if peer.address:
            answer = peer.http.get(f"{peer.address}{url}")
        elif peer.tensor:
            one = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [url]}
            answer = peer.http.post(peer.tensor, json={"inputs": [one]})
        else:
            answer = peer.http.post(peer.form, data={peer.part: url})
        return f"{answer.status_code}; the address was {'fetched' if self.calls else 'not fetched'}"


if __name__ == "__main__":
    typer.run(main)
