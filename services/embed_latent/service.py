"""``embed_latent`` as a BentoML service: HTTP here, gRPC beside it in the same process."""

from __future__ import annotations

from functools import partial

import bentoml
from starlette.requests import Request
from starlette.responses import Response

from protos.maquette.embed_latent.v1.embed_latent_pb2_grpc import add_EmbedLatentServiceServicer_to_server
from services.common import gateway, http, openapi, settings
from services.common.lifecycle import Lifecycle
from services.embed_latent import batch, walk
from services.embed_latent.predictor import Parameters
from services.embed_latent.runtime import EmbedRuntime
from services.embed_latent.servicer import SERVICE, Servicer, message, model, space

NAME, PATH = "embed_latent", "/v1/embed-latent"
SETTINGS = settings.load_or_exit()
RUNTIME = EmbedRuntime(NAME, SETTINGS)
DOCUMENT = openapi.document(
    NAME,
    posts={PATH: ("EmbedResponse", Parameters)},
    gets={"/v1/space": "GetSpaceResponse", "/v1/model": "GetModelResponse"},
)
DOCUMENT["paths"] |= {
    walk.PATH: {"post": openapi.message_post("DecodeRequest", "DecodeResponse", pictures=(http.PNG,))},
    batch.PATH: {"post": batch.OPERATION},
}
PAGES = http.pages(
    RUNTIME,
    DOCUMENT,
    {"/v1/space": partial(space, RUNTIME), "/v1/model": partial(model, RUNTIME)},
    {walk.PATH: partial(walk.respond, RUNTIME), batch.PATH: partial(batch.respond, RUNTIME)},
)


@bentoml.service(**http.configuration(NAME, SETTINGS))
@bentoml.asgi_app(PAGES)
class EmbedLatent:
    """Where does a figurine lie in the latent plane?"""

    def __init__(self) -> None:
        add = partial(add_EmbedLatentServiceServicer_to_server, Servicer(RUNTIME))
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
    async def embed_latent(self, request: Request) -> Response:
        return await http.respond(RUNTIME, request, partial(message, RUNTIME))


EmbedLatent.add_asgi_middleware(
    gateway.Gateway,
    runtime=RUNTIME,
    methods={
        PATH: "Embed",
        walk.PATH: "Decode",
        batch.PATH: "Embeddings",
        "/v1/space": "GetSpace",
        "/v1/model": "GetModel",
    },
)
