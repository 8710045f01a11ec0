"""``classify``: the ASGI application for HTTP, gRPC beside it in the same process."""

from __future__ import annotations

from functools import partial

from protos.maquette.classify.v1.classify_pb2_grpc import add_ClassifyServiceServicer_to_server
from services.classify.predictor import Parameters, Predictor
from services.classify.servicer import SERVICE, ClassifyRuntime, Servicer, message, model
from services.common import operations, settings
from services.common.gateway import application
from services.common.lifecycle import Lifecycle

NAME = "classify"
RUNTIME = ClassifyRuntime(NAME, settings.load_or_exit(), Parameters, Predictor)
LIFECYCLE = Lifecycle(RUNTIME, SERVICE, partial(add_ClassifyServiceServicer_to_server, Servicer(RUNTIME)))
ONE, MANY = operations.photographs(RUNTIME, "/v1/classifications", "Classify", Parameters, partial(message, RUNTIME))
OPERATIONS = (
    ONE,
    MANY,
    *operations.model(RUNTIME, partial(model, RUNTIME)),
    ONE.at_old_path("/v1/classify"),
)
APP = application(RUNTIME, OPERATIONS, LIFECYCLE)
