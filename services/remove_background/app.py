"""``remove_background``: the ASGI application for HTTP, gRPC beside it in the same process."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from protos.maquette.remove_background.v1 import remove_background_pb2 as pb
from protos.maquette.remove_background.v1.remove_background_pb2_grpc import add_RemoveBackgroundServiceServicer_to_server
from services.common import http, operations, settings
from services.common.gateway import application
from services.common.lifecycle import Lifecycle
from services.remove_background import adapt, archive
from services.remove_background.predictor import Parameters, Predictor
from services.remove_background.runtime import RemovalRuntime
from services.remove_background.servicer import SERVICE, Servicer, message, model

NAME = "remove_background"


def picture(_: Request, answer: pb.RemoveBackgroundResponse) -> Response:
    """One picture as itself, with the rest of the answer in ``X-Maquette-Answer`` as JSON; two as JSON with base64."""
    if answer.mask and answer.cutout:
        return http.as_json(answer)
    return http.as_picture(answer, answer.mask or answer.cutout, "mask", "cutout")


def as_asked(request: Request, answer: pb.RemoveBackgroundResponse) -> Response:
    """JSON, or the picture where ``Accept`` names PNG."""
    return picture(request, answer) if http.wants(request, http.PNG) else http.as_json(answer)


RUNTIME = RemovalRuntime(NAME, settings.load_or_exit(), Parameters, Predictor)
LIFECYCLE = Lifecycle(RUNTIME, SERVICE, partial(add_RemoveBackgroundServiceServicer_to_server, Servicer(RUNTIME)))
ANSWER = partial(message, RUNTIME)
ONE, MANY = operations.photographs(
    RUNTIME,
    "/v1/masks",
    "RemoveBackground",
    Parameters,
    ANSWER,
    render=as_asked,
    media=(http.JSON, http.PNG),
    formerly_many=partial(archive.respond, RUNTIME),
)
ARCHIVE = operations.Operation(
    path="/v1/masks/archive",
    rpc="RemoveBackground",
    endpoint=partial(archive.read, RUNTIME),
    parameters=archive.ArchiveParameters,
    form_of_many="Archive",
    media=(archive.ZIP, archive.BYTES),
)
ADAPT = operations.Operation(
    path="/v1/adapters",
    rpc="Adapt",
    endpoint=partial(adapt.respond, RUNTIME),
    parameters=adapt.AdaptParameters,
    response="Adapter",
    form_of_many="Examples",
)
OLD = operations.photograph_endpoint(RUNTIME, MANY.path, ANSWER, picture)
OPERATIONS = (
    ONE,
    MANY,
    ARCHIVE,
    ADAPT,
    *operations.model(RUNTIME, partial(model, RUNTIME)),
    ONE.at_old_path("/v1/remove-background", OLD, (http.PNG, http.JSON)),
)
APP = application(RUNTIME, OPERATIONS, LIFECYCLE)
