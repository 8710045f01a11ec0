"""What a service can be asked over HTTP: each question once for one photograph and once for many, and its old paths.

An :class:`Operation` is all that is known of a path: the router, the metrics' labels and the OpenAPI document are made from it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from google.protobuf.message import Message
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from services.common import bodies, errors, forms, telemetry
from services.common.batches import LINES, Rows, Streamed, Writer, array, lines, rows
from services.common.fetching import FIELD as IMAGE_URL
from services.common.http import JSON, Endpoint, as_json, wants
from services.common.in_order import LONGEST_ID
from services.common.parameters import parse
from services.common.photograph import photograph_of
from services.common.runtime import Runtime

BATCH = "/batch"


class NoParameters(BaseModel):
    """A question without any."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, kw_only=True)
class Operation:
    """``rpc`` is the proto's method of the same question, whose comment is the summary. ``request`` is the message a POST takes
    as JSON; without it a POST takes a photograph, or many (``form_of_many``). ``response`` is the message it answers, where
    that is not the method's own. ``media``: what it may answer, the default first. ``instead``: the path that replaces this
    one, which is deprecated.
    """

    path: str
    rpc: str
    endpoint: Endpoint
    method: str = "POST"
    parameters: type[BaseModel] = NoParameters
    request: str = ""
    response: str = ""
    form_of_many: Literal["", "Batch", "Archive", "Examples"] = ""
    media: tuple[str, ...] = (JSON,)
    instead: str = ""

    @property
    def label(self) -> str:
        """The name in metrics and logs."""
        return self.rpc + (self.form_of_many if self.form_of_many != "Examples" else "")

    def at_old_path(self, path: str, endpoint: Endpoint | None = None, media: tuple[str, ...] = ()) -> Operation:
        """The same question at a path that is on its way out; ``endpoint`` and ``media`` where it answered in another form."""
        return replace(self, path=path, instead=self.path, endpoint=endpoint or self.endpoint, media=media or self.media)


FormerlyMany = Callable[[Request, list[forms.File], forms.Fields], Awaitable[Response]]
Render = Callable[[Request, Any], Response]


def question(
    runtime: Runtime[Any, Any, Any],
    path: str,
    rpc: str,
    answer: Callable[..., Message],
    parameters: type[BaseModel] = NoParameters,
) -> Operation:
    """A GET about the model; ``answer`` takes the parameters where there are any."""

    async def respond(request: Request) -> Response:
        runtime.require_ready()
        asked = parse(parameters, bodies.merged(request))
        return as_json(answer() if parameters is NoParameters else answer(asked))

    return Operation(path=path, rpc=rpc, endpoint=respond, method="GET", parameters=parameters)


def model(runtime: Runtime[Any, Any, Any], answer: Callable[[], Message]) -> tuple[Operation, Operation]:
    """The model behind the answers, under the service's name, for services may share a host. The old path is that of all."""
    operation = question(runtime, f"/v1/models/{runtime.service.replace('_', '-')}", "GetModel", answer)
    return operation, operation.at_old_path("/v1/model")


def as_message(_: Request, answer: Message) -> Response:
    return as_json(answer)


def photographs(
    runtime: Runtime[Any, Any, Any],
    path: str,
    rpc: str,
    parameters: type[BaseModel],
    message: Callable[[Any], Any],
    *,
    render: Render = as_message,
    media: tuple[str, ...] = (JSON,),
    formerly_many: FormerlyMany | None = None,
    writers: Mapping[str, Callable[[Any], Writer]] | None = None,
) -> tuple[Operation, Operation]:
    """One question about a photograph, at ``path`` for one and at ``path/batch`` for many.

    ``message`` makes the proto of the predictor's answer and ``render`` the answer to one. ``writers`` are further media types
    of the batch, each made for the parameters of a request, beside JSON, its default, and JSON lines.
    """
    batch = path + BATCH
    one = photograph_endpoint(runtime, batch, message, render, formerly_many)
    many, kinds = batch_endpoint(runtime, message, writers), (JSON, LINES, *(writers or {}))
    return (
        Operation(path=path, rpc=rpc, endpoint=one, parameters=parameters, media=media),
        Operation(path=batch, rpc=rpc, endpoint=many, parameters=parameters, form_of_many="Batch", media=kinds),
    )


def photograph_endpoint(
    runtime: Runtime[Any, Any, Any],
    batch: str,
    message: Callable[[Any], Any],
    render: Render,
    formerly_many: FormerlyMany | None = None,
) -> Endpoint:
    """One photograph: a raw body, a form with one file in ``image``, JSON with base64 there, or its address in ``image_url``.

    The parameter ``id`` is the caller's and comes back.
    ``batch`` is the path that takes many; ``formerly_many`` answers a form of them where this path did so before.
    """

    async def respond(request: Request) -> Response:
        given: Iterable[tuple[str, Any]] = ()
        with telemetry.RECEIVING.track_inprogress():
            if bodies.is_form(request):
                files, given = await bodies.read_form(request, runtime)
                if formerly_many and files and all(file.field == forms.FILES for file in files):
                    return await formerly_many(request, files, given)
                data = bodies.the_one(files, batch) if files or not bodies.has_address(request, given) else b""
                del files
            elif bodies.is_json(request):
                data, values = await bodies.read_json(request, runtime)
                given = values.items()
            else:
                data = await bodies.read_raw(request, runtime)
        values = bodies.merged(request, given)
        id_ = values.pop(forms.ID, None)
        if id_ is not None and not (isinstance(id_, str) and len(id_) <= LONGEST_ID):
            raise errors.ParameterInvalid(f"Parameter `id` should have at most {LONGEST_ID} characters.")
        address = values.pop(IMAGE_URL, None)
        if not isinstance(address, str | None):
            raise errors.ParameterInvalid(f"Parameter `{IMAGE_URL}` should be an address as text.")
        parameters = runtime.parse(values)
        async with photograph_of(runtime, data, address, parameters) as photograph, runtime.place():
            del data
            answer = message(await runtime.answer(photograph, parameters))
        if id_ is not None:
            answer.id = id_
        return render(request, answer)

    return respond


def batch_endpoint(
    runtime: Runtime[Any, Any, Any], message: Callable[[Any], Any], writers: Mapping[str, Callable[[Any], Writer]] | None = None
) -> Endpoint:
    """Many photographs, of any number and size in all: a form with the files in ``images``, each answered as it arrives."""

    async def respond(request: Request) -> Response:
        runtime.require_ready()
        parameters = _checked(runtime, bodies.merged(request))
        place = await runtime.batch_place()
        arriving = bodies.stream(request, runtime)
        files = bodies.Files((), arriving)
        try:
            fields, first = await _begun(arriving)
            files = bodies.Files([first], arriving)
            if first.field != forms.FILES:
                raise bodies.astray(first, forms.FILES)
            if fields:
                parameters = _checked(runtime, bodies.merged(request, fields))
        except BaseException:
            await files.aclose()
            place.release()
            raise
        return answered(runtime, request, files, parameters, message, place, writers)

    return respond


def batch_in_hand(
    runtime: Runtime[Any, Any, Any], message: Callable[[Any], Any], writers: Mapping[str, Callable[[Any], Writer]] | None = None
) -> FormerlyMany:
    """The same for a form that was read whole, as the paths of version 0.1 took it."""

    async def respond(request: Request, files: list[forms.File], fields: forms.Fields) -> Response:
        parameters = _checked(runtime, bodies.merged(request, fields))
        place = await runtime.batch_place()
        return answered(runtime, request, bodies.in_hand(request, files), parameters, message, place, writers, LINES)

    return respond


def answered(
    runtime: Runtime[Any, Any, Any],
    request: Request,
    files: bodies.Files,
    parameters: Any,
    message: Callable[[Any], Any],
    place: asyncio.Semaphore,
    writers: Mapping[str, Callable[[Any], Writer]] | None = None,
    default: str = JSON,
) -> Response:
    """The answer to a batch whose parameters are good, in the form that ``Accept`` names, else ``default``."""

    async def answer(file: forms.File) -> Any:
        return message(await runtime.answer(file.data, parameters, bulk=True))

    every = {kind: make(parameters) for kind, make in (writers or {}).items()} | {LINES: lines, JSON: array}
    media_type = next((kind for kind in every if wants(request, kind)), default)
    answers: Rows = rows(runtime, files, answer)
    return Streamed(runtime, every[media_type](answers), media_type, place)


def _checked(runtime: Runtime[Any, Any, Any], values: dict[str, str]) -> Any:
    parameters = runtime.parse(values)
    runtime.predictor.check(parameters)
    return parameters


async def _begun(files: AsyncGenerator[forms.File | forms.Fields, None]) -> tuple[forms.Fields, forms.File]:
    """The fields before the first file, and that. Raises ``ImageMissing`` for a form without files."""
    fields: forms.Fields = ()
    async for each in files:
        if isinstance(each, forms.File):
            return fields, each
        fields = each
    raise errors.ImageMissing(f"Send photographs as files in the multipart field `{forms.FILES}`.")
