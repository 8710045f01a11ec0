"""KServe's own server with a custom model: ``python -m benchmarks.contract_peers.kserve_app --http_port A --grpc_port B``."""

import argparse
import base64
import json

import kserve

from benchmarks.contract_peers.plain import Model


class Classify(kserve.Model):  # type: ignore[misc]
    def load(self) -> bool:
        self.model = Model()
        self.ready = True
        return True

    def predict(
        self, payload: kserve.InferRequest, headers: object = None, response_headers: object = None
    ) -> kserve.InferResponse:
        answers = []
        for given in payload.inputs[0].data:
            text = given if isinstance(given, str) else bytes(given).decode()
            answers.append(json.dumps(self.model.answer(base64.b64decode(text))))
        output = kserve.InferOutput("answers", [len(answers)], "BYTES", answers)
        return kserve.InferResponse(response_id=payload.id or "1", model_name=self.name, infer_outputs=[output])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[kserve.model_server.parser])
    arguments, _ = parser.parse_known_args()
    model = Classify("classify")
    model.load()
    kserve.ModelServer().start([model])
