"""``cluster_assign`` as a BentoML service: HTTP here, gRPC beside it in the same process."""

from __future__ import annotations

from functools import partial

import bentoml
from starlette.requests import Request
from starlette.responses import Response

from protos.maquette.cluster_assign.v1.cluster_assign_pb2_grpc import add_ClusterAssignServiceServicer_to_server
from services.cluster_assign.predictor import Parameters, Predictor
from services.cluster_assign.servicer import SERVICE, ClusterRuntime, Servicer, clusters, message, model
from services.common import gateway, http, openapi, settings
from services.common.lifecycle import Lifecycle

NAME, PATH = "cluster_assign", "/v1/cluster-assign"
SETTINGS = settings.load_or_exit()
RUNTIME = ClusterRuntime(NAME, SETTINGS, Parameters, Predictor)
DOCUMENT = openapi.document(
    NAME,
    posts={PATH: ("AssignResponse", Parameters)},
    gets={"/v1/clusters": "ListClustersResponse", "/v1/model": "GetModelResponse"},
)


@bentoml.service(**http.configuration(NAME, SETTINGS))
@bentoml.asgi_app(
    http.pages(RUNTIME, DOCUMENT, {"/v1/clusters": partial(clusters, RUNTIME), "/v1/model": partial(model, RUNTIME)})
)
class ClusterAssign:
    """Which visual group of paintings does a photograph fall in, and how sure is it?"""

    def __init__(self) -> None:
        add = partial(add_ClusterAssignServiceServicer_to_server, Servicer(RUNTIME))
        self._lifecycle = Lifecycle(RUNTIME, SERVICE, add)

    @bentoml.on_startup
    async def start(self) -> None:
        await self._lifecycle.start()

    @bentoml.on_shutdown
    async def stop(self) -> None:
        await self._lifecycle.stop()

    async def __is_ready__(self) -> bool:
        return RUNTIME.ready

    @bentoml.api(route=PATH, input_spec=http.ImageRequest, output_spec=http.Answer)
    async def cluster_assign(self, request: Request) -> Response:
        return await http.respond(RUNTIME, request, partial(message, RUNTIME))


ClusterAssign.add_asgi_middleware(
    gateway.Gateway,
    runtime=RUNTIME,
    methods={PATH: "Assign", "/v1/clusters": "ListClusters", "/v1/model": "GetModel"},
)
