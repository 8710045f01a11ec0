"""``cluster_assign``: the ASGI application for HTTP, gRPC beside it in the same process."""

from __future__ import annotations

from functools import partial

from protos.maquette.cluster_assign.v1.cluster_assign_pb2_grpc import add_ClusterAssignServiceServicer_to_server
from services.cluster_assign.predictor import Parameters, Predictor
from services.cluster_assign.servicer import SERVICE, ClusterRuntime, Servicer, clusters, message, model
from services.common import operations, settings
from services.common.gateway import application
from services.common.lifecycle import Lifecycle
from services.common.pages import Page

NAME = "cluster_assign"
RUNTIME = ClusterRuntime(NAME, settings.load_or_exit(), Parameters, Predictor)
LIFECYCLE = Lifecycle(RUNTIME, SERVICE, partial(add_ClusterAssignServiceServicer_to_server, Servicer(RUNTIME)))
ONE, MANY = operations.photographs(RUNTIME, "/v1/assignments", "Assign", Parameters, partial(message, RUNTIME))
OPERATIONS = (
    ONE,
    MANY,
    operations.question(RUNTIME, "/v1/clusters", "ListClusters", partial(clusters, RUNTIME), Page),
    *operations.model(RUNTIME, partial(model, RUNTIME)),
    ONE.at_old_path("/v1/cluster-assign"),
)
APP = application(RUNTIME, OPERATIONS, LIFECYCLE)
