"""``classify``: the ASGI application for HTTP, gRPC beside it in the same process."""

from __future__ import annotations

from functools import partial

from protos.maquette.classify.v1.classify_pb2_grpc import add_ClassifyServiceServicer_to_server
from services.classify.predictor import Parameters, Predictor
from services.classify.servicer import SERVICE, ClassifyRuntime, Servicer, message, model
from services.common import http, openapi, settings
from services.common.gateway import Gateway
from services.common.lifecycle import Lifecycle

NAME, PATH = "classify", "/v1/classify"
RUNTIME = ClassifyRuntime(NAME, settings.load_or_exit(), Parameters, Predictor)
LIFECYCLE = Lifecycle(RUNTIME, SERVICE, partial(add_ClassifyServiceServicer_to_server, Servicer(RUNTIME)))
DOCUMENT = openapi.document(NAME, posts={PATH: ("ClassifyResponse", Parameters)}, gets={"/v1/model": "GetModelResponse"})
APP = Gateway(
    http.routes(
        RUNTIME,
        DOCUMENT,
        {"/v1/model": partial(model, RUNTIME)},
        {PATH: http.photograph(RUNTIME, partial(message, RUNTIME))},
        LIFECYCLE,
    ),
    RUNTIME,
    {PATH: "Classify", "/v1/model": "GetModel"},
)
