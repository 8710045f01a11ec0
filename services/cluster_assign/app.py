"""``cluster_assign``: the ASGI application for HTTP, gRPC beside it in the same process."""

from __future__ import annotations

from functools import partial

from protos.maquette.cluster_assign.v1.cluster_assign_pb2_grpc import add_ClusterAssignServiceServicer_to_server
from services.cluster_assign.predictor import Parameters, Predictor
from services.cluster_assign.servicer import SERVICE, ClusterRuntime, Servicer, clusters, message, model
from services.common import http, openapi, settings
from services.common.gateway import Gateway
from services.common.lifecycle import Lifecycle

NAME, PATH = "cluster_assign", "/v1/cluster-assign"
RUNTIME = ClusterRuntime(NAME, settings.load_or_exit(), Parameters, Predictor)
LIFECYCLE = Lifecycle(RUNTIME, SERVICE, partial(add_ClusterAssignServiceServicer_to_server, Servicer(RUNTIME)))
DOCUMENT = openapi.document(
    NAME,
    posts={PATH: ("AssignResponse", Parameters)},
    gets={"/v1/clusters": "ListClustersResponse", "/v1/model": "GetModelResponse"},
)
APP = Gateway(
    http.routes(
        RUNTIME,
        DOCUMENT,
        {"/v1/clusters": partial(clusters, RUNTIME), "/v1/model": partial(model, RUNTIME)},
        {PATH: http.photograph(RUNTIME, partial(message, RUNTIME))},
        LIFECYCLE,
    ),
    RUNTIME,
    {PATH: "Assign", "/v1/clusters": "ListClusters", "/v1/model": "GetModel"},
)
