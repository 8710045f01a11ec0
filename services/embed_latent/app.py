"""``embed_latent``: the ASGI application for HTTP, gRPC beside it in the same process."""

from __future__ import annotations

from functools import partial

from protos.maquette.embed_latent.v1.embed_latent_pb2_grpc import add_EmbedLatentServiceServicer_to_server
from services.common import http, operations, settings
from services.common.gateway import application
from services.common.lifecycle import Lifecycle
from services.common.pages import Page
from services.embed_latent import arrow, decode
from services.embed_latent.predictor import Parameters
from services.embed_latent.runtime import EmbedRuntime
from services.embed_latent.servicer import SERVICE, Servicer, message, model, space

NAME = "embed_latent"
RUNTIME = EmbedRuntime(NAME, settings.load_or_exit())
LIFECYCLE = Lifecycle(RUNTIME, SERVICE, partial(add_EmbedLatentServiceServicer_to_server, Servicer(RUNTIME)))
ANSWER, WRITERS = partial(message, RUNTIME), {arrow.ARROW: partial(arrow.writer, RUNTIME)}
FORMERLY_MANY = operations.batch_in_hand(RUNTIME, ANSWER, WRITERS)
ONE, MANY = operations.photographs(
    RUNTIME, "/v1/embeddings", "Embed", Parameters, ANSWER, writers=WRITERS, formerly_many=FORMERLY_MANY
)
DECODE = operations.Operation(
    path="/v1/decodings",
    rpc="Decode",
    endpoint=partial(decode.respond, RUNTIME, http.JSON),
    request="DecodeRequest",
    media=(http.JSON, http.PNG),
)
OPERATIONS = (
    ONE,
    MANY,
    DECODE,
    operations.question(RUNTIME, "/v1/space", "GetSpace", partial(space, RUNTIME), Page),
    *operations.model(RUNTIME, partial(model, RUNTIME)),
    ONE.at_old_path("/v1/embed-latent"),
    DECODE.at_old_path("/v1/decode", partial(decode.respond, RUNTIME, http.PNG), (http.PNG, http.JSON)),
)
APP = application(RUNTIME, OPERATIONS, LIFECYCLE)
