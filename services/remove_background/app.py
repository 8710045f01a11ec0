"""``remove_background``: the ASGI application for HTTP, gRPC beside it in the same process."""

from __future__ import annotations

from functools import partial

from starlette.responses import Response

from protos.maquette.remove_background.v1 import remove_background_pb2 as pb
from protos.maquette.remove_background.v1.remove_background_pb2_grpc import add_RemoveBackgroundServiceServicer_to_server
from services.common import http, openapi, settings
from services.common.gateway import Gateway
from services.common.lifecycle import Lifecycle
from services.remove_background import adapt, archive
from services.remove_background.predictor import Parameters, Predictor
from services.remove_background.runtime import RemovalRuntime
from services.remove_background.servicer import SERVICE, Servicer, message, model

NAME, PATH = "remove_background", "/v1/remove-background"


def render(answer: pb.RemoveBackgroundResponse) -> Response:
    """One picture as itself, with the rest of the answer in ``X-Maquette-Answer`` as JSON; two as JSON with base64."""
    if answer.mask and answer.cutout:
        return http.as_json(answer)
    return http.as_picture(answer, answer.mask or answer.cutout, "mask", "cutout")


RUNTIME = RemovalRuntime(NAME, settings.load_or_exit(), Parameters, Predictor)
LIFECYCLE = Lifecycle(RUNTIME, SERVICE, partial(add_RemoveBackgroundServiceServicer_to_server, Servicer(RUNTIME)))
DOCUMENT = openapi.document(
    NAME,
    posts={PATH: ("RemoveBackgroundResponse", Parameters)},
    gets={"/v1/model": "GetModelResponse"},
    pictures=(http.PNG,),
)
DOCUMENT["paths"] |= {archive.PATH: {"post": archive.OPERATION}, adapt.PATH: {"post": adapt.OPERATION}}
APP = Gateway(
    http.routes(
        RUNTIME,
        DOCUMENT,
        {"/v1/model": partial(model, RUNTIME)},
        {
            PATH: http.photograph(RUNTIME, partial(message, RUNTIME), render),
            archive.PATH: partial(archive.respond, RUNTIME),
            adapt.PATH: partial(adapt.respond, RUNTIME),
        },
        LIFECYCLE,
    ),
    RUNTIME,
    {PATH: "RemoveBackground", "/v1/model": "GetModel", archive.PATH: "Masks", adapt.PATH: "Adapt"},
)
