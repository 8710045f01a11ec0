"""A runtime of MLServer, started by ``mlserver start FOLDER`` with a model-settings.json that names it."""

import json

from mlserver import MLModel
from mlserver.codecs import Base64Codec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.contract_peers.plain import Model


class Classify(MLModel):  # type: ignore[misc]
    async def load(self) -> bool:
        self.model = Model()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        answers = [json.dumps(self.model.answer(data)) for data in Base64Codec.decode_input(payload.inputs[0])]
        output = StringCodec.encode_output("answers", answers)
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=[output])
