"""``classify`` as a BentoML service: HTTP here, gRPC beside it in the same process."""

from __future__ import annotations

from functools import partial

import bentoml
from starlette.requests import Request
from starlette.responses import Response

from protos.maquette.classify.v1.classify_pb2_grpc import add_ClassifyServiceServicer_to_server
from services.classify.predictor import Parameters, Predictor
from services.classify.servicer import SERVICE, ClassifyRuntime, Servicer, message, model
from services.common import gateway, http, openapi, settings
from services.common.lifecycle import Lifecycle

NAME, PATH = "classify", "/v1/classify"
SETTINGS = settings.load_or_exit()
RUNTIME = ClassifyRuntime(NAME, SETTINGS, Parameters, Predictor)
DOCUMENT = openapi.document(NAME, posts={PATH: ("ClassifyResponse", Parameters)}, gets={"/v1/model": "GetModelResponse"})


@bentoml.service(**http.configuration(NAME, SETTINGS))
@bentoml.asgi_app(http.pages(RUNTIME, DOCUMENT, {"/v1/model": partial(model, RUNTIME)}))
class Classify:
    """Which type of sculpture does a photograph show?"""

    def __init__(self) -> None:
        self._lifecycle = Lifecycle(RUNTIME, SERVICE, partial(add_ClassifyServiceServicer_to_server, Servicer(RUNTIME)))

    @bentoml.on_startup
    async def start(self) -> None:
        await self._lifecycle.start()

    @bentoml.on_shutdown
    async def stop(self) -> None:
        await self._lifecycle.stop()

    async def __is_ready__(self) -> bool:
        return RUNTIME.ready

    @bentoml.api(route=PATH, input_spec=http.ImageRequest, output_spec=http.Answer)
    async def classify(self, request: Request) -> Response:
        return await http.respond(RUNTIME, request, partial(message, RUNTIME))


Classify.add_asgi_middleware(gateway.Gateway, runtime=RUNTIME, methods={PATH: "Classify", "/v1/model": "GetModel"})
