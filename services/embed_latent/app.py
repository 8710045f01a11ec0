"""``embed_latent``: the ASGI application for HTTP, gRPC beside it in the same process."""

from __future__ import annotations

from functools import partial

from protos.maquette.embed_latent.v1.embed_latent_pb2_grpc import add_EmbedLatentServiceServicer_to_server
from services.common import http, openapi, settings
from services.common.gateway import Gateway
from services.common.lifecycle import Lifecycle
from services.embed_latent import decode, embeddings
from services.embed_latent.predictor import Parameters
from services.embed_latent.runtime import EmbedRuntime
from services.embed_latent.servicer import SERVICE, Servicer, message, model, space

NAME, PATH = "embed_latent", "/v1/embed-latent"
RUNTIME = EmbedRuntime(NAME, settings.load_or_exit())
LIFECYCLE = Lifecycle(RUNTIME, SERVICE, partial(add_EmbedLatentServiceServicer_to_server, Servicer(RUNTIME)))
DOCUMENT = openapi.document(
    NAME,
    posts={PATH: ("EmbedResponse", Parameters)},
    gets={"/v1/space": "GetSpaceResponse", "/v1/model": "GetModelResponse"},
)
DOCUMENT["paths"] |= {
    decode.PATH: {"post": openapi.message_post("DecodeRequest", "DecodeResponse", pictures=(http.PNG,))},
    embeddings.PATH: {"post": embeddings.OPERATION},
}
APP = Gateway(
    http.routes(
        RUNTIME,
        DOCUMENT,
        {"/v1/space": partial(space, RUNTIME), "/v1/model": partial(model, RUNTIME)},
        {
            PATH: http.photograph(RUNTIME, partial(message, RUNTIME)),
            decode.PATH: partial(decode.respond, RUNTIME),
            embeddings.PATH: partial(embeddings.respond, RUNTIME),
        },
        LIFECYCLE,
    ),
    RUNTIME,
    {PATH: "Embed", decode.PATH: "Decode", embeddings.PATH: "Embeddings", "/v1/space": "GetSpace", "/v1/model": "GetModel"},
)
