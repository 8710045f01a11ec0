"""Proto <-> predictor, for both transports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from protos.maquette.remove_background.v1 import remove_background_pb2 as pb
from protos.maquette.remove_background.v1 import remove_background_pb2_grpc
from services.common import grpc_server, model_info, telemetry
from services.remove_background import adapt
from services.remove_background.hints import FRAMES, of_message
from services.remove_background.predictor import Output, Removal, Report
from services.remove_background.runtime import RemovalRuntime

SERVICE = pb.DESCRIPTOR.services_by_name["RemoveBackgroundService"]

_OUTPUTS = {
    pb.OUTPUT_UNSPECIFIED: Output.MASK,
    pb.OUTPUT_MASK: Output.MASK,
    pb.OUTPUT_CUTOUT: Output.CUTOUT,
    pb.OUTPUT_BOTH: Output.BOTH,
}


class Servicer(remove_background_pb2_grpc.RemoveBackgroundServiceServicer):
    """The typed gRPC service."""

    def __init__(self, runtime: RemovalRuntime) -> None:
        self._runtime = runtime

    async def RemoveBackground(self, request: pb.RemoveBackgroundRequest, context: Any) -> pb.RemoveBackgroundResponse:
        return await self._answer(request)

    def RemoveBackgroundStream(
        self, requests: AsyncIterator[Any], context: Any
    ) -> AsyncIterator[pb.RemoveBackgroundStreamResponse]:
        return grpc_server.stream(self._runtime, requests, partial(self._answer, bulk=True), pb.RemoveBackgroundStreamResponse)

    def Adapt(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[pb.AdaptResponse]:
        return adapt.stream(self._runtime, requests)

    async def GetModel(self, request: pb.GetModelRequest, context: Any) -> pb.GetModelResponse:
        return model(self._runtime)

    async def _answer(self, request: pb.RemoveBackgroundRequest, *, bulk: bool = False) -> pb.RemoveBackgroundResponse:
        values = {
            # A number this version does not know is left for the parameters to refuse.
            "output": _OUTPUTS.get(request.output, request.output),
            "frame": FRAMES.get(request.frame, request.frame),
            **grpc_server.chosen(request, "threshold", "adapter"),
        }
        if request.HasField("hints"):
            values["hints"] = of_message(request.hints)
        parameters = self._runtime.parse(values)
        return message(self._runtime, await grpc_server.answer(self._runtime, request, parameters, bulk=bulk))


def message(runtime: RemovalRuntime, answer: Removal) -> pb.RemoveBackgroundResponse:
    """The answer with the model's version and the request's id."""
    return pb.RemoveBackgroundResponse(
        mask=answer.mask or None,
        cutout=answer.cutout or None,
        report=_report(answer.report),
        model_version=runtime.bundle.manifest.version,
        request_id=telemetry.current().request_id,
        notes=answer.notes,
    )


def model(runtime: RemovalRuntime) -> pb.GetModelResponse:
    """The model behind the answers."""
    return pb.GetModelResponse(model=model_info.message(runtime.bundle))


def _report(report: Report) -> pb.Report:
    top, right, bottom, left = report.edges
    return pb.Report(
        width=report.width,
        height=report.height,
        coverage=report.coverage,
        edges=pb.EdgeContact(top=top, right=right, bottom=bottom, left=left),
        components=report.components,
        empty=report.empty,
        uncertainty=report.uncertainty,
    )
