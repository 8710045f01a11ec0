"""``remove_background`` as a BentoML service: HTTP here, gRPC beside it in the same process."""

from __future__ import annotations

from functools import partial

import bentoml
from starlette.requests import Request
from starlette.responses import Response

from protos.maquette.remove_background.v1 import remove_background_pb2 as pb
from protos.maquette.remove_background.v1.remove_background_pb2_grpc import add_RemoveBackgroundServiceServicer_to_server
from services.common import gateway, http, openapi, settings
from services.common.lifecycle import Lifecycle
from services.remove_background import archive
from services.remove_background.predictor import Parameters, Predictor
from services.remove_background.servicer import SERVICE, RemovalRuntime, Servicer, message, model

NAME, PATH = "remove_background", "/v1/remove-background"
SETTINGS = settings.load_or_exit()
RUNTIME = RemovalRuntime(NAME, SETTINGS, Parameters, Predictor)
DOCUMENT = openapi.document(
    NAME,
    posts={PATH: ("RemoveBackgroundResponse", Parameters)},
    gets={"/v1/model": "GetModelResponse"},
    pictures=(http.PNG,),
)
DOCUMENT["paths"][archive.PATH] = {"post": archive.OPERATION}
PAGES = http.pages(RUNTIME, DOCUMENT, {"/v1/model": partial(model, RUNTIME)}, {archive.PATH: partial(archive.respond, RUNTIME)})


@bentoml.service(**http.configuration(NAME, SETTINGS))
@bentoml.asgi_app(PAGES)
class RemoveBackground:
    """Which pixels of a photograph are the object?"""

    def __init__(self) -> None:
        add = partial(add_RemoveBackgroundServiceServicer_to_server, Servicer(RUNTIME))
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
    async def remove_background(self, request: Request) -> Response:
        return await http.respond(RUNTIME, request, partial(message, RUNTIME), render)


def render(answer: pb.RemoveBackgroundResponse) -> Response:
    """One picture as itself, with the rest of the answer in ``X-Maquette-Answer`` as JSON; two as JSON with base64."""
    if answer.mask and answer.cutout:
        return http.as_json(answer)
    return http.as_picture(answer, answer.mask or answer.cutout, "mask", "cutout")


RemoveBackground.add_asgi_middleware(
    gateway.Gateway,
    runtime=RUNTIME,
    methods={PATH: "RemoveBackground", "/v1/model": "GetModel", archive.PATH: "Masks"},
)
