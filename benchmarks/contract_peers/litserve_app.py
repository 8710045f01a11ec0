"""LitServe: ``python -m benchmarks.contract_peers.litserve_app PORT``."""

import sys
from typing import Any

import litserve
from fastapi import Request

from benchmarks.contract_peers.plain import Model


class Api(litserve.LitAPI):  # type: ignore[misc]
    def setup(self, device: str) -> None:
        self.model = Model()

    def decode_request(self, request: Request) -> bytes:
        return request["image"].file.read()  # type: ignore[index,no-any-return]

    def predict(self, data: bytes) -> dict[str, Any]:
        return self.model.answer(data)

    def encode_response(self, answer: dict[str, Any]) -> dict[str, Any]:
        return answer


if __name__ == "__main__":
    litserve.LitServer(Api(), accelerator="cpu").run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
