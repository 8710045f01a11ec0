"""Proto <-> predictor, for both transports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from protos.maquette.cluster_assign.v1 import cluster_assign_pb2 as pb
from protos.maquette.cluster_assign.v1 import cluster_assign_pb2_grpc
from services.cluster_assign.predictor import Assignment, Cluster, Parameters, Predictor
from services.common import grpc_server, model_info, pages, telemetry
from services.common.pages import Page
from services.common.parameters import parse
from services.common.runtime import Runtime

SERVICE = pb.DESCRIPTOR.services_by_name["ClusterAssignService"]
ClusterRuntime = Runtime[Parameters, Assignment, Predictor]


class Servicer(cluster_assign_pb2_grpc.ClusterAssignServiceServicer):
    """The typed gRPC service."""

    def __init__(self, runtime: ClusterRuntime) -> None:
        self._runtime = runtime

    async def Assign(self, request: pb.AssignRequest, context: Any) -> pb.AssignResponse:
        return await self._answer(request)

    def AssignStream(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[pb.AssignStreamResponse]:
        return grpc_server.stream(self._runtime, requests, partial(self._answer, bulk=True), pb.AssignStreamResponse)

    async def ListClusters(self, request: pb.ListClustersRequest, context: Any) -> pb.ListClustersResponse:
        return clusters(self._runtime, parse(Page, {"page_size": request.page_size, "page_token": request.page_token}))

    async def GetModel(self, request: pb.GetModelRequest, context: Any) -> pb.GetModelResponse:
        return model(self._runtime)

    async def _answer(self, request: pb.AssignRequest, *, bulk: bool = False) -> pb.AssignResponse:
        parameters = self._runtime.parse(grpc_server.chosen(request, "neighbours"))
        return message(self._runtime, await grpc_server.answer(self._runtime, request, parameters, bulk=bulk))


def message(runtime: ClusterRuntime, answer: Assignment) -> pb.AssignResponse:
    """The answer with the model's version and the request's id."""
    return pb.AssignResponse(
        cluster=_cluster(answer.cluster),
        assignments=[pb.Assignment(cluster=cluster, q=q) for cluster, q in answer.q],
        between=answer.between,
        neighbours=[
            pb.Neighbour(id=neighbour.id, distance=neighbour.distance, cluster=neighbour.cluster)
            for neighbour in answer.neighbours
        ],
        embedding=answer.embedding.tolist(),
        embedding_space=runtime.predictor.space,
        model_version=runtime.bundle.manifest.version,
        request_id=telemetry.current().request_id,
        notes=answer.notes,
    )


def clusters(runtime: ClusterRuntime, page: Page) -> pb.ListClustersResponse:
    """A page of the clusters of the model."""
    version = runtime.bundle.manifest.version
    found, following = pages.cut(runtime.predictor.clusters, page, version)
    return pb.ListClustersResponse(
        clusters=[_cluster(cluster) for cluster in found],
        model_version=version,
        embedding_space=runtime.predictor.space,
        next_page_token=following,
    )


def model(runtime: ClusterRuntime) -> pb.GetModelResponse:
    """The model behind the answers."""
    return pb.GetModelResponse(model=model_info.message(runtime.bundle))


def _cluster(cluster: Cluster) -> pb.Cluster:
    return pb.Cluster(
        id=cluster.id,
        size=cluster.size,
        silhouette=cluster.silhouette,
        exemplars=cluster.exemplars,
        outliers=cluster.outliers,
    )
