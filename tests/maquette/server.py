"""A small real server of the four contracts, for the client to talk to: grpc.aio in a thread of its own, on a free port.

It decodes what it is sent with Pillow and answers from the pixels. It can be stopped and started again on its port, and
its faults are switched on by the tests that are about faults.
"""

from __future__ import annotations

import asyncio
import io
import threading
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from PIL import Image

from maquette.client.services import CONTRACTS, Contract, Service
from protos.maquette.common.v1 import common_pb2

VERSION = "0.1.0"
LABELS = ("dark", "middling", "bright")


class Refusal(Exception):
    def __init__(self, status: grpc.StatusCode, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail


@dataclass
class Faults:
    """What goes wrong, and how often from now on."""

    overloaded_unary: int = 0
    overloaded_items: int = 0
    draining_items: int = 0
    break_streams: int = 0  # so many streams end with UNAVAILABLE ...
    break_after: int = 2  # ... after so many answers
    hang_streams: int = 0  # so many streams are silent ...
    hang_after: int = 0  # ... after so many answers
    hang_unary: int = 0
    cancelled: int = 0  # so many calls and streams end with CANCELLED, as those that reach a listener that closes
    slow_answers: float = 0  # seconds that each answer of a stream but the first takes
    poison: bytes = b"\x00poison"  # a stream that meets this ends with INTERNAL


@dataclass
class Seen:
    """What came in."""

    metadata: list[dict[str, str]] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    items: list[bytes] = field(default_factory=list)


class Server:
    """``with Server() as server``: the four services at ``server.address``."""

    def __init__(
        self, *, key: str = "", credentials: grpc.ServerCredentials | None = None, options: tuple[Any, ...] = ()
    ) -> None:
        self.faults, self.seen = Faults(), Seen()
        self.space = "levels"  # changed by the tests that put another model behind the address
        self._key, self._credentials, self._options = key, credentials, options
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0

    @property
    def address(self) -> str:
        return f"{'localhost' if self._credentials else '127.0.0.1'}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def start(self) -> None:
        self._run(self._start())

    def stop(self) -> None:
        self._run(self._server.stop(0))

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _start(self) -> None:
        limits = (("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0))
        self._server = grpc.aio.server(options=(*self._options, *limits))
        for service, contract in CONTRACTS.items():
            self._server.add_generic_rpc_handlers((self._handlers(service, contract),))
        # One address: of the two that localhost has, another process may listen on the other.
        address = f"127.0.0.1:{self.port}"
        if self._credentials:
            self.port = self._server.add_secure_port(address, self._credentials)
        else:
            self.port = self._server.add_insecure_port(address)
        await self._server.start()

    def _handlers(self, service: Service, contract: Contract) -> Any:
        method, message = contract.method, contract.message

        def answered(request: Any, request_id: str) -> Any:
            response = _ANSWERS[service](message, request, request_id)
            if "embedding_space" in response.DESCRIPTOR.fields_by_name:
                response.embedding_space = self.space
            return response

        async def one(request: Any, context: Any) -> Any:
            request_id = await self._enter(method, context)
            await self._cancel(context)
            if self.faults.hang_unary:
                self.faults.hang_unary -= 1
                await asyncio.sleep(3600)
            if self.faults.overloaded_unary:
                self.faults.overloaded_unary -= 1
                await _abort(context, Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", "Come back later."))
            try:
                return answered(request, request_id)
            except Refusal as refusal:
                return await _abort(context, refusal)

        async def many(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
            request_id = await self._enter(f"{method}Stream", context)
            await self._cancel(context)
            hangs = self.faults.hang_streams > 0
            self.faults.hang_streams -= hangs
            breaks, count = self.faults.break_streams > 0, 0
            self.faults.break_streams -= breaks
            async for item in requests:
                self.seen.items.append(item.request.image)
                if hangs and count == self.faults.hang_after:
                    await asyncio.sleep(3600)
                if breaks and count == self.faults.break_after:
                    await _abort(context, Refusal(grpc.StatusCode.UNAVAILABLE, "NOT_READY", "The service is draining."))
                if item.request.image == self.faults.poison:
                    await _abort(context, Refusal(grpc.StatusCode.INTERNAL, "INTERNAL", "The service failed."))
                await asyncio.sleep(self.faults.slow_answers if count else 0)
                answer = message(f"{method}StreamResponse")(id=item.id)
                try:
                    if self.faults.overloaded_items:
                        self.faults.overloaded_items -= 1
                        raise Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", "Come back later.")
                    if count >= self.faults.break_after and self.faults.draining_items:
                        self.faults.draining_items -= 1
                        raise Refusal(grpc.StatusCode.UNAVAILABLE, "NOT_READY", "The service is draining.")
                    answer.response.CopyFrom(answered(item.request, request_id))
                except Refusal as refusal:
                    answer.error.CopyFrom(common_pb2.Error(code=refusal.code, detail=refusal.detail))
                yield answer
                count += 1

        def fixed(name: str, response: Any) -> Any:
            async def answer(request: Any, context: Any) -> Any:
                await self._enter(name, context)
                if "embedding_space" in response.DESCRIPTOR.fields_by_name:
                    response.embedding_space = self.space
                return response

            return answer

        handlers = {method: _handler(grpc.unary_unary_rpc_method_handler, one, message, method)}
        handlers[f"{method}Stream"] = _handler(grpc.stream_stream_rpc_method_handler, many, message, f"{method}Stream")
        for name, response in {"GetModel": _model(service, message), **_others(service, message)}.items():
            handlers[name] = _handler(grpc.unary_unary_rpc_method_handler, fixed(name, response), message, name)
        return grpc.method_handlers_generic_handler(contract.full_name, handlers)

    async def _cancel(self, context: Any) -> None:
        if self.faults.cancelled:
            self.faults.cancelled -= 1
            await context.abort(grpc.StatusCode.CANCELLED, "CANCELLED")

    async def _enter(self, name: str, context: Any) -> str:
        metadata = dict(context.invocation_metadata())
        self.seen.metadata.append(metadata)
        self.seen.calls[name] += 1
        if self._key and metadata.get("x-api-key") != self._key:
            await _abort(
                context, Refusal(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED", "The API key is missing or wrong.")
            )
        return str(metadata["x-request-id"])


def _handler(kind: Any, behaviour: Any, message: Any, name: str) -> Any:
    return kind(behaviour, message(f"{name}Request").FromString, message(f"{name}Response").SerializeToString)


async def _abort(context: Any, refusal: Refusal) -> None:
    packed = any_pb2.Any()
    packed.Pack(error_details_pb2.ErrorInfo(reason=refusal.code, domain="maquette"))
    status = status_pb2.Status(code=code_pb2.Code.Value(refusal.status.name), message=refusal.detail, details=[packed])
    await context.abort_with_status(rpc_status.to_status(status))


def _grey(data: bytes) -> Image.Image:
    if not data:
        raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, "IMAGE_MISSING", "Send the bytes of one image.")
    try:
        return Image.open(io.BytesIO(data)).convert("L")
    except OSError:
        raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, "IMAGE_UNDECODABLE", "The bytes are not an image.") from None


def _brightness(data: bytes) -> float:
    grey = _grey(data)
    return sum(value * count for value, count in enumerate(grey.histogram())) / (255 * grey.width * grey.height)


def _classify(message: Any, request: Any, request_id: str) -> Any:
    top_k = request.top_k if request.HasField("top_k") else 3
    if not 1 <= top_k <= len(LABELS):
        raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, "PARAMETER_INVALID", f"top_k takes 1 to {len(LABELS)}.")
    level = _brightness(request.image)
    weights = {label: 1.001 - abs(level - place) for label, place in zip(LABELS, (0.0, 0.5, 1.0), strict=True)}
    best = sorted(weights, key=lambda label: -weights[label])[:top_k]
    shares = [weights[label] / sum(weights.values()) for label in best]
    predictions = [{"label": label, "name": label.title(), "probability": p} for label, p in zip(best, shares, strict=True)]
    stream = io.BytesIO()
    if request.explain:
        _grey(request.image).save(stream, "PNG")
    return message("ClassifyResponse")(
        predictions=predictions, model_version=VERSION, request_id=request_id, explanation=stream.getvalue()
    )


def _assign(message: Any, request: Any, request_id: str) -> Any:
    level = _brightness(request.image)
    shares = sorted(((level, 1), (1 - level, 0)), reverse=True)
    count = request.neighbours if request.HasField("neighbours") else 5
    return message("AssignResponse")(
        cluster={"id": shares[0][1], "size": 7},
        assignments=[{"cluster": number, "q": q} for q, number in shares],
        neighbours=[{"id": f"work{number}.jpg", "distance": number / 10} for number in range(count)],
        embedding=[level],
        model_version=VERSION,
        request_id=request_id,
    )


def _embed(message: Any, request: Any, request_id: str) -> Any:
    level = _brightness(request.image)
    return message("EmbedResponse")(
        latent=[level, -level],
        features=[level, level, level] if request.features else [],
        prior_distance=level,
        model_version=VERSION,
        request_id=request_id,
    )


def _remove_background(message: Any, request: Any, request_id: str) -> Any:
    grey = _grey(request.image)
    level = round(255 * request.threshold) if request.HasField("threshold") else 128
    mask = grey.point(lambda value: 255 if value >= level else 0)
    for point in request.hints.points:  # a marked place is what it was marked as
        x, y = int(point.x), int(point.y)
        mask.paste(255 * (point.mark == 1), (x - 2, y - 2, x + 3, y + 3))
    colour = Image.open(io.BytesIO(request.image)).convert("RGB")
    colour.putalpha(mask)
    pictures = {"mask": mask} if request.output == 1 else {"cutout": colour}
    coverage = mask.histogram()[255] / (grey.width * grey.height)
    report = {"width": grey.width, "height": grey.height, "coverage": coverage, "empty": not coverage, "edges": {"top": True}}
    return message("RemoveBackgroundResponse")(
        **{name: _png(picture) for name, picture in pictures.items()},
        report=report,
        model_version=VERSION,
        request_id=request_id,
    )


def _png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


_ANSWERS = {
    Service.CLASSIFY: _classify,
    Service.CLUSTER_ASSIGN: _assign,
    Service.EMBED_LATENT: _embed,
    Service.REMOVE_BACKGROUND: _remove_background,
}


def _model(service: Service, message: Any) -> Any:
    labels = [{"id": label, "name": label.title()} for label in LABELS] if service is Service.CLASSIFY else []
    model = common_pb2.Model(name=service.value, version=VERSION, architecture="levels", labels=labels, licence="Apache-2.0")
    if service is Service.CLASSIFY:
        model.input.MergeFrom(common_pb2.ModelInput(height=224, width=224, resize="squash"))
    return message("GetModelResponse")(model=model)


def _others(service: Service, message: Any) -> dict[str, Any]:
    if service is Service.CLUSTER_ASSIGN:
        clusters = [{"id": 0, "size": 5, "silhouette": 0.6, "exemplars": ["dark <1>.jpg"]}, {"id": 1, "size": 7}]
        return {"ListClusters": message("ListClustersResponse")(clusters=clusters, model_version=VERSION)}
    if service is Service.EMBED_LATENT:
        points = [{"id": f"<{n}>.jpg", "group": group, "latent": [n, -n]} for n, group in enumerate(("sub", "<other>", "sub"))]
        space = message("GetSpaceResponse")(
            dimensions=2,
            feature_dimensions=3,
            prior_mean=[0, 1],
            prior_standard_deviation=[5, 4],
            groups=["<other>", "sub"],
            points=points,
            model_version=VERSION,
        )
        return {"GetSpace": space}
    return {}
