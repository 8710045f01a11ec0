"""LitServe with two workers: ``python -m benchmarks.peers.litserve_app PORT``."""

import sys
from typing import Any

import litserve
from fastapi import Request

from benchmarks.peers.model import Model


class Api(litserve.LitAPI):  # type: ignore[misc]
    def setup(self, device: str) -> None:
        self.model = Model()

    # LitServe looks at the annotation: with `Request` it reads the form before a worker is asked.
    def decode_request(self, request: Request) -> bytes:
        return request["image"].file.read()  # type: ignore[index,no-any-return]

    def predict(self, data: bytes) -> dict[str, Any]:
        return self.model.answer(data)

    def encode_response(self, answer: dict[str, Any]) -> dict[str, Any]:
        return answer


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", workers_per_device=2)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", generate_client_file=False)
