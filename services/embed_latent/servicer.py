"""Proto <-> predictor, for both transports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import numpy as np

from protos.maquette.embed_latent.v1 import embed_latent_pb2 as pb
from protos.maquette.embed_latent.v1 import embed_latent_pb2_grpc
from services.common import grpc_server, model_info, pages, telemetry
from services.common.pages import Page
from services.common.parameters import parse
from services.embed_latent import decoder
from services.embed_latent.predictor import Embedding
from services.embed_latent.runtime import EmbedRuntime

SERVICE = pb.DESCRIPTOR.services_by_name["EmbedLatentService"]


class Servicer(embed_latent_pb2_grpc.EmbedLatentServiceServicer):
    """The typed gRPC service."""

    def __init__(self, runtime: EmbedRuntime) -> None:
        self._runtime = runtime

    async def Embed(self, request: pb.EmbedRequest, context: Any) -> pb.EmbedResponse:
        return await self._answer(request)

    def EmbedStream(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[pb.EmbedStreamResponse]:
        return grpc_server.stream(self._runtime, requests, partial(self._answer, bulk=True), pb.EmbedStreamResponse)

    async def Decode(self, request: pb.DecodeRequest, context: Any) -> pb.DecodeResponse:
        # No more than it takes to see that there are too many: a message holds twenty million.
        most = decoder.MOST_POINTS * len(self._runtime.predictor.prior.mean) + 1
        values = {"latent": request.latent[:most], **grpc_server.chosen(request, "embedding_space")}
        async with self._runtime.place():
            return drawing(self._runtime, await self._runtime.decode(values))

    async def GetSpace(self, request: pb.GetSpaceRequest, context: Any) -> pb.GetSpaceResponse:
        return space(self._runtime, parse(Page, {"page_size": request.page_size, "page_token": request.page_token}))

    async def GetModel(self, request: pb.GetModelRequest, context: Any) -> pb.GetModelResponse:
        return model(self._runtime)

    async def _answer(self, request: pb.EmbedRequest, *, bulk: bool = False) -> pb.EmbedResponse:
        parameters = self._runtime.parse(grpc_server.chosen(request, "features", "mask"))
        return message(self._runtime, await grpc_server.answer(self._runtime, request, parameters, bulk=bulk))


def message(runtime: EmbedRuntime, answer: Embedding) -> pb.EmbedResponse:
    """The answer with the model's version and the request's id."""
    return pb.EmbedResponse(
        latent=answer.latent.tolist(),
        features=answer.features.tolist() if answer.features is not None else [],
        embedding_space=runtime.predictor.space,
        prior_distance=answer.prior_distance,
        unlike_training=answer.unlike_training,
        model_version=runtime.bundle.manifest.version,
        request_id=telemetry.current().request_id,
        notes=answer.notes,
    )


def drawing(runtime: EmbedRuntime, answer: decoder.Drawing) -> pb.DecodeResponse:
    """The pictures with the model's version and the request's id."""
    return pb.DecodeResponse(
        images=answer.images,
        width=answer.width,
        height=answer.height,
        embedding_space=runtime.predictor.space,
        model_version=runtime.bundle.manifest.version,
        request_id=telemetry.current().request_id,
    )


def space(runtime: EmbedRuntime, page: Page) -> pb.GetSpaceResponse:
    """The latent space: prior, groups and a page of the reference points."""
    predictor, version = runtime.predictor, runtime.bundle.manifest.version
    found, following = pages.cut(predictor.points, page, version)
    deviations = np.sqrt(np.diagonal(predictor.prior.covariance))
    return pb.GetSpaceResponse(
        embedding_space=predictor.space,
        dimensions=len(predictor.prior.mean),
        prior_mean=predictor.prior.mean,
        prior_standard_deviation=deviations.tolist(),
        feature_dimensions=predictor.feature_dimensions,
        groups=predictor.groups,
        points=[pb.ReferencePoint(id=point.id, group=point.group, latent=point.latent) for point in found],
        model_version=version,
        farthest_decoded=decoder.FARTHEST,
        next_page_token=following,
    )


def model(runtime: EmbedRuntime) -> pb.GetModelResponse:
    """The model behind the answers."""
    return pb.GetModelResponse(model=model_info.message(runtime.bundle))
