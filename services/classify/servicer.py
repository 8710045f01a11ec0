"""Proto <-> predictor, for both transports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from protos.maquette.classify.v1 import classify_pb2 as pb
from protos.maquette.classify.v1 import classify_pb2_grpc
from services.classify.predictor import Classification, Parameters, Predictor, Reason
from services.common import grpc_server, model_info, telemetry
from services.common.runtime import Runtime

SERVICE = pb.DESCRIPTOR.services_by_name["ClassifyService"]
_REASONS = {
    Reason.NO_SCULPTURE: pb.ABSTENTION_REASON_NO_SCULPTURE,
    Reason.UNSURE_OF_TYPE: pb.ABSTENTION_REASON_UNSURE_OF_TYPE,
}
ClassifyRuntime = Runtime[Parameters, Classification, Predictor]


class Servicer(classify_pb2_grpc.ClassifyServiceServicer):
    """The typed gRPC service."""

    def __init__(self, runtime: ClassifyRuntime) -> None:
        self._runtime = runtime

    async def Classify(self, request: pb.ClassifyRequest, context: Any) -> pb.ClassifyResponse:
        return await self._answer(request)

    def ClassifyStream(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[pb.ClassifyStreamResponse]:
        return grpc_server.stream(self._runtime, requests, partial(self._answer, bulk=True), pb.ClassifyStreamResponse)

    async def GetModel(self, request: pb.GetModelRequest, context: Any) -> pb.GetModelResponse:
        return model(self._runtime)

    async def _answer(self, request: pb.ClassifyRequest, *, bulk: bool = False) -> pb.ClassifyResponse:
        parameters = self._runtime.parse(grpc_server.chosen(request, "top_k", "confidence", "explain"))
        return message(self._runtime, await grpc_server.answer(self._runtime, request, parameters, bulk=bulk))


def message(runtime: ClassifyRuntime, answer: Classification) -> pb.ClassifyResponse:
    """The answer with the model's version and the request's id."""
    return pb.ClassifyResponse(
        predictions=[
            pb.Prediction(
                label=prediction.label.id,
                name=prediction.label.name,
                probability=prediction.probability,
                uri=prediction.label.uri,
                broader=prediction.label.broader,
            )
            for prediction in answer.predictions
        ],
        abstained=answer.abstained,
        abstention_reason=_REASONS[answer.reason] if answer.reason else None,
        confidence=answer.confidence,
        model_version=runtime.bundle.manifest.version,
        request_id=telemetry.current().request_id,
        notes=answer.notes,
        explanation=answer.explanation,
    )


def model(runtime: ClassifyRuntime) -> pb.GetModelResponse:
    """The model behind the answers."""
    return pb.GetModelResponse(model=model_info.message(runtime.bundle))
