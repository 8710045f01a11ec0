"""Learning from examples: for ``Adapt`` and ``POST /v1/adapters``. Nothing of it stays in the service."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from protos.maquette.remove_background.v1 import remove_background_pb2 as pb
from services.common import bodies, errors, forms, http, images, telemetry
from services.common.admission import Lease
from services.common.parameters import parse
from services.remove_background.adapters import MOST_EXAMPLES, learn
from services.remove_background.hints import FRAMES, of_message
from services.remove_background.predictor import Example, Lesson
from services.remove_background.runtime import RemovalRuntime

# Each holds up to a hundred megabytes, counted among the bytes in flight.
_MOST_AT_ONCE = 2
MASKS, HINTS = "masks", "hints"
_ORDER = (
    f"Send each photograph as a file in `{forms.FILES}`, followed by its mask in `{MASKS}`, or its hints as JSON in a file in "
    f"`{HINTS}`."
)


class AdaptParameters(BaseModel):
    """What a caller may choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frame: images.Frame = Field(images.Frame.SENSOR, description=Lesson.model_fields["frame"].description)


class Lessons:
    """The examples of one caller, until they are learnt from. ``add`` may be awaited for one at a time."""

    _at_once = 0

    def __init__(self, runtime: RemovalRuntime) -> None:
        self._runtime = runtime
        self._examples: list[tuple[Example, pb.AdapterExample]] = []

    @classmethod
    @asynccontextmanager
    async def begun(cls, runtime: RemovalRuntime) -> AsyncIterator[Lessons]:
        """Raises ``Overloaded`` where others learn already."""
        if cls._at_once >= _MOST_AT_ONCE:
            raise errors.Overloaded("Other adapters are being learnt; try again after a pause.")
        cls._at_once += 1
        try:
            yield cls(runtime)
        finally:
            cls._at_once -= 1

    async def add(self, image: bytes, lesson: Lesson) -> int:
        """Look at an example; answers the bytes that are kept of it. Raises any of the domain errors."""
        if len(self._examples) >= MOST_EXAMPLES:
            raise errors.ParameterInvalid(f"An adapter is learnt from 1 to {MOST_EXAMPLES} examples; send fewer.")
        self._runtime.require_ready()
        async with self._runtime.place(bulk=True):
            example: Any = await self._runtime.answer(image, lesson, bulk=True)
        told = pb.AdapterExample(
            sha256=hashlib.sha256(image).hexdigest(), from_hints=not lesson.mask, coverage=example.coverage
        )
        self._examples.append((example, told))
        return sum(view.bytes for view in example.views)

    async def learnt(self) -> pb.Adapter:
        """The adapter. Raises ``ParameterInvalid`` where there is no example."""
        if not self._examples:
            raise errors.ParameterInvalid(f"An adapter is learnt from 1 to {MOST_EXAMPLES} examples; send one.")
        views = [example.views for example, _ in self._examples]
        adapter = await self._runtime.in_thread(learn, views, self._runtime.bundle.manifest)
        adapter.examples.extend(told for _, told in self._examples)
        return adapter


async def stream(
    runtime: RemovalRuntime, requests: AsyncIterator[tuple[pb.AdaptRequest, Lease]]
) -> AsyncIterator[pb.AdaptResponse]:
    """As many responses as requests, when the requests have ended; the last has the adapter."""
    async with Lessons.begun(runtime) as lessons:
        count = 0
        while (received := await _next(requests, runtime.settings.idle_seconds)) is not None:
            request, lease = received
            values: dict[str, Any] = {"frame": FRAMES.get(request.frame, request.frame)}
            if request.WhichOneof("truth") == "hints":
                values["hints"] = of_message(request.hints)
            kept = await lessons.add(request.image, _lesson(values, request.mask))
            request.Clear()
            lease.resize(kept)
            count += 1
        adapter = await lessons.learnt()
        for index in range(count):
            last = adapter if index == count - 1 else None
            yield pb.AdaptResponse(adapter=last, request_id=telemetry.current().request_id)


async def respond(runtime: RemovalRuntime, request: Request) -> Response:
    """``POST /v1/adapters``. Raises any of the domain errors."""
    parse(AdaptParameters, bodies.merged(request))  # judged before the body is read
    async with Lessons.begun(runtime) as lessons:
        files, fields = await bodies.read_form(request, runtime, bulk=True)
        frame = parse(AdaptParameters, bodies.merged(request, fields)).frame
        if len(files) > 2 * MOST_EXAMPLES:
            raise errors.ParameterInvalid(f"An adapter is learnt from 1 to {MOST_EXAMPLES} examples; send fewer.")
        lease = bodies.lease_of(request)
        kept = 0
        for index in range(0, len(files), 2):
            image, truth = files[index], files[index + 1] if index + 1 < len(files) else None
            if image.field != forms.FILES or truth is None or truth.field not in (MASKS, HINTS):
                raise errors.ParameterInvalid(_ORDER)
            if wrong := image.error or truth.error:
                raise wrong
            given: dict[str, Any] = {"frame": frame}
            if truth.field == HINTS:
                given["hints"] = truth.data.decode(errors="replace")
            kept += await lessons.add(image.data, _lesson(given, truth.data if truth.field == MASKS else b""))
            image.data = truth.data = b""
            lease.resize(kept + sum(len(file.data) for file in files))
        adapter = await lessons.learnt()
    return http.as_json(adapter)


def _lesson(values: Mapping[str, Any], mask: bytes = b"") -> Lesson:
    """Raises ``ParameterInvalid`` where there is neither a mask nor hints."""
    lesson = parse(Lesson, {**values, "mask": mask})
    if not mask and lesson.hints is None:
        raise errors.ParameterInvalid("An example needs a mask or hints; send one of both with each photograph.")
    return lesson


async def _next(requests: AsyncIterator[Any], seconds: float) -> Any:
    """The next request, None after the last. Raises ``DeadlineExceeded``: a sender that pauses keeps others from learning."""
    try:
        async with asyncio.timeout(seconds):
            return await anext(requests, None)
    except TimeoutError:
        raise errors.DeadlineExceeded("The next example did not arrive in time; send all of them at once.") from None
