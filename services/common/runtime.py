"""What one process holds: its model, its batcher, its budgets and whether it is ready. It knows no transport.

``Runtime.answer`` is the whole path of a photograph: limits, decoding, model, predictor. Both transports await it.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from enum import Enum, auto
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel

from services.common import errors, images, models, telemetry, twins
from services.common.admission import Budget
from services.common.batching import Batcher
from services.common.fetching import Fetcher
from services.common.models import Tensors
from services.common.parameters import parse
from services.common.settings import Settings

Parameters_contra = TypeVar("Parameters_contra", bound=BaseModel, contravariant=True)
Answer_co = TypeVar("Answer_co", covariant=True)
Parameters = TypeVar("Parameters", bound=BaseModel)
Answer = TypeVar("Answer")
P = TypeVar("P", bound="Predictor[Any, Any]")
T = TypeVar("T")


class Predictor(Protocol[Parameters_contra, Answer_co]):
    """The pure part of a service."""

    def check(self, parameters: Parameters_contra) -> None:
        """Judge the parameters against the model before any work is done. Raises ``ParameterInvalid``."""

    def needs_full_size(self, parameters: Parameters_contra) -> bool:
        """Whether the answer needs every pixel; if not, a JPEG may be shrunk while it is decoded."""

    def answer(self, photograph: images.Decoded, outputs: Tensors, parameters: Parameters_contra) -> Answer_co:
        """A photograph and the graph's outputs for it -> the answer. Runs on a thread."""


class State(Enum):
    STARTING = auto()
    READY = auto()
    LEAVING = auto()  # probes are told so; calls are still answered
    DRAINING = auto()
    FAILED = auto()


_REFUSALS = {
    State.STARTING: "The service is warming up; try again in a moment.",
    State.DRAINING: "The service is shutting down; try again on another replica.",
    State.FAILED: "The model did not load; the service's log says why.",
}


# Bytes at the peak of decoding a pixel of an ordinary JPEG: what `MAQUETTE_MEGAPIXELS_IN_FLIGHT` counts in.
_PIXEL_BYTES = 7
# So many take about as long to decode and to answer as the model takes for one picture.
_PIXELS_A_PLACE = 4_000_000


class Runtime(Generic[Parameters, Answer, P]):
    """One service in one process. ``make_predictor`` builds its pure part from the verified bundle."""

    def __init__(
        self,
        service: str,
        settings: Settings,
        parameters: type[Parameters],
        make_predictor: Callable[[models.Bundle], P],
    ) -> None:
        self.service, self.settings = service, settings
        self._parameters, self._make_predictor = parameters, make_predictor
        self.state = State.STARTING
        self._threads = ThreadPoolExecutor(settings.lanes, thread_name_prefix="image")
        self._calls = Budget(
            settings.max_queue, "Too many calls are waiting; try again after a pause.", gauge=telemetry.AT_WORK
        )
        self.bytes = Budget(
            settings.mebibytes_in_flight * 2**20,
            "Too many photographs are being sent at once; try again after a pause.",
            gauge=telemetry.BYTES_RECEIVED,
        )
        self.fetcher = Fetcher(settings, self.bytes)
        self._batches = asyncio.Semaphore(max(1, settings.max_streams // 4))
        self._most_pixels = settings.megapixels_in_flight * 1_000_000
        self._pixels = Budget(
            self._most_pixels, "Too many pixels are being decoded; try again after a pause.", gauge=telemetry.PIXELS_IN_FLIGHT
        )
        # As many as one run of the model on every lane answers, large ones fewer: whoever is let in is answered in time.
        self._work = Budget(settings.lanes * settings.max_batch, "Too many photographs are at work; try again after a pause.")
        self._bundle: models.Bundle | None = None
        self._predictor: P | None = None
        self._batcher: Batcher | None = None
        self._asked = True  # warm-up asks as well

    async def start(self) -> None:
        """Load, verify and warm up the model, then become ready; a bundle that is not right leaves the service not ready."""
        settings = self.settings
        telemetry.READY.set(0)
        try:
            bundle, self._predictor = await self.in_thread(self._load)
        except models.BundleError as error:
            self.state = State.FAILED
            telemetry.LOG.critical("the model did not load", extra={"service": self.service, "reason": str(error)})
            return
        except Exception:
            self.state = State.FAILED
            telemetry.LOG.critical("the model did not load", extra={"service": self.service}, exc_info=True)
            return
        self._bundle = bundle
        self._batcher = Batcher(bundle.run, lanes=settings.lanes, max_batch=settings.max_batch)
        if self.state is State.STARTING:
            self.state = State.READY
            telemetry.READY.set(1)
            version = bundle.manifest.version
            telemetry.MODEL.labels(self.service, version, bundle.precision).set(1)
            graph = {"provider": bundle.session.get_providers()[0], "precision": bundle.precision}
            timed = {"milliseconds": {name: round(value, 1) for name, value in bundle.milliseconds.items()}}
            telemetry.LOG.info("ready", extra={"service": self.service, "model_version": version, **graph, **timed})

    def leave(self) -> None:
        """Be no longer ready, and answer who still asks; a service without its model yet has nothing to answer."""
        if self.state is State.READY:
            self.state = State.LEAVING
        elif self.state is State.STARTING:
            self.state = State.DRAINING
        telemetry.READY.set(0)

    def drain(self) -> None:
        """Refuse new calls from now on; those at work go on."""
        if self.state is not State.FAILED:
            self.state = State.DRAINING
        telemetry.READY.set(0)

    async def stop(self) -> None:
        """Release the threads and the model. Call it once the transports have finished."""
        self.drain()
        if self._batcher:
            await self._batcher.stop()
        await self.fetcher.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def ready(self) -> bool:
        return self.state is State.READY

    def require_ready(self) -> None:
        """Raises ``NotReady`` with the reason, where a call would be refused."""
        if self.state in _REFUSALS:
            raise errors.NotReady(_REFUSALS[self.state])

    def probe(self) -> None:
        """Raises ``NotReady`` also where calls are still answered, but should go elsewhere."""
        self.require_ready()
        if not self.ready:
            raise errors.NotReady("The service is about to shut down; ask another replica.")

    # Not `require_ready`: calls that were let in before a drain began still need these two to finish.
    @property
    def bundle(self) -> models.Bundle:
        """Raises ``NotReady`` before the model is loaded."""
        if self._bundle is None:
            raise errors.NotReady(_REFUSALS[self.state])
        return self._bundle

    @property
    def predictor(self) -> P:
        """Raises ``NotReady`` before the model is loaded."""
        if self._predictor is None:
            raise errors.NotReady(_REFUSALS[self.state])
        return self._predictor

    def parse(self, values: Mapping[str, Any]) -> Parameters:
        """Values from either transport -> the service's parameters; raises as :func:`parse` does."""
        return parse(self._parameters, values)

    @asynccontextmanager
    async def in_time(self) -> AsyncIterator[None]:
        """At most the configured time for the block. Raises ``DeadlineExceeded``."""
        try:
            async with asyncio.timeout(self.settings.timeout_seconds):
                yield
        except TimeoutError:
            raise errors.DeadlineExceeded(
                "The photograph was not answered in time; try again, or send a smaller one."
            ) from None

    def require_room(self) -> None:
        """Raises ``NotReady`` or ``Overloaded`` where a call would be refused, so that its body need not be sent first."""
        self.require_ready()
        self._calls.require(1)

    @asynccontextmanager
    async def place(self, *, bulk: bool = False) -> AsyncIterator[None]:
        """A place among the calls. ``bulk``: an item of a stream or a batch, which waits for one. Raises ``Overloaded``."""
        with await self._calls.take(1, bulk=bulk, wait=None if bulk else 0):
            yield

    async def batch_place(self) -> asyncio.Semaphore:
        """A place among the batches over HTTP, given back by ``release()``. Raises ``Overloaded``.

        Their answers wait in memory for callers who send first and read then, which no stream's do: so they are fewer.
        """
        try:
            async with asyncio.timeout(self.settings.wait_seconds):
                await self._batches.acquire()
        except TimeoutError:
            raise errors.Overloaded("Too many batches are being answered; try again after a pause.") from None
        return self._batches

    async def answer(self, data: bytes, parameters: Parameters, *, bulk: bool = False) -> Answer:
        """One encoded photograph -> its answer, within a :meth:`place`. Raises any of the domain errors.

        It waits for room among the pixels, for a time of its own; the clock of an answer starts when it is let in. ``bulk``:
        an item of a stream or a batch, which waits without a limit, for its caller is held back meanwhile.
        """
        with self.counted():
            predictor = self.predictor
            predictor.check(parameters)
            encoded = await self.in_thread(images.inspect, data, self.settings.limits, shrink_to=self.shrink_to(parameters))
            answered = encoded.width * encoded.height * self.bytes_per_pixel(parameters)
            pixels = max(encoded.cost, answered) // _PIXEL_BYTES
            if pixels > self._most_pixels:
                raise errors.ImageTooManyPixels(
                    f"The image takes {pixels * _PIXEL_BYTES / 2**20:.0f} MiB to answer, more than this service has for all; "
                    "send a smaller one, or a JPEG."
                )
            wait = None if bulk else self.settings.wait_seconds
            places = 1 + pixels // _PIXELS_A_PLACE
            with await self._pixels.take(pixels, bulk=bulk, wait=wait), await self._work.take(places, bulk=bulk, wait=wait):
                async with self.in_time():
                    photograph, prepared = await self.in_thread(self._decode, encoded, parameters)
                    del encoded
                    outputs = await self.ask(photograph, prepared, parameters)
                    result: Answer = await self.in_thread(predictor.answer, photograph, outputs, parameters)
            return result

    def shrink_to(self, parameters: Parameters) -> int | None:
        """Pixels that the shorter side of a photograph needs; None: all there are."""
        size = self.bundle.manifest.input
        return None if self.predictor.needs_full_size(parameters) else 2 * max(size.height, size.width)

    def bytes_per_pixel(self, parameters: Parameters) -> int:
        """Bytes that making the answer takes for each pixel of the photograph's own size, where the service knows of any."""
        return 0

    @contextmanager
    def counted(self) -> Iterator[telemetry.Items]:
        """Count the block's items under the code it ends with."""
        items, code = telemetry.Items(), "INTERNAL"
        try:
            yield items
            code = "OK"
        except errors.MaquetteError as error:
            code = error.code
            raise
        except asyncio.CancelledError:
            code = "CANCELLED"
            raise
        finally:
            telemetry.ITEMS.labels(self.service, code).inc(items.count)

    async def in_thread(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Run it on a thread. Who is cancelled meanwhile waits for the thread to end: until then it holds what it was given."""
        job = self._threads.submit(functools.partial(function, *arguments, **named))
        ended = asyncio.wrap_future(job)
        try:
            return await asyncio.shield(ended)
        except asyncio.CancelledError:
            while not job.cancel() and not job.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([ended])
            ended.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody asks for it any more
            raise
        finally:
            # The exception that a job ended in knows this frame, and with it the photograph: without them it is no cycle.
            del job, ended, arguments, named

    async def ask(self, photograph: images.Decoded, prepared: images.RGB, parameters: Parameters) -> Tensors:
        """The graph's outputs for a prepared photograph; a service may ask more than once."""
        assert self._batcher is not None
        self._asked = True
        return await self._batcher.submit(prepared)

    async def give_memory_back(self) -> None:
        """Where nothing is at work: return to the system what the last photographs have left in the model's arena and in the C
        library's heap, where that is glibc's (a stream of 16 MiB messages leaves 130 MiB there).
        """
        if not self.ready or self.bytes.used or self._work.used:
            return
        if self._asked:
            self._asked = False
            await self.in_thread(self.bundle.shrink)
        if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
            await self.in_thread(trim, 0)

    def prepare(self, photograph: images.Decoded, parameters: Parameters) -> tuple[images.Decoded, images.RGB]:
        """A photograph -> itself and what the model sees of it. Runs on a thread; a service may do more than resize."""
        return photograph, self.bundle.prepare(photograph.pixels)

    def _decode(self, encoded: images.Encoded, parameters: Parameters) -> tuple[images.Decoded, images.RGB]:
        return self.prepare(encoded.decode(images.Frame.DISPLAY), parameters)

    def _load(self) -> tuple[models.Bundle, P]:
        settings = self.settings
        folder = settings.models / self.service
        path = folder / settings.model_version if settings.model_version else models.latest(settings.models, self.service)
        bundle = twins.load(path, settings.precision)
        if bundle.manifest.service != self.service:
            raise models.BundleError(f"{path}: is a bundle of {bundle.manifest.service}, not of {self.service}")
        return bundle, self._make_predictor(bundle)
