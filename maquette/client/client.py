"""The Python client: one method a question, over gRPC."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import grpc

from maquette.client import errors, guidance, streaming
from maquette.client.channel import Address, open_channel
from maquette.client.guidance import AnyAdapter, AnyHints, Example
from maquette.client.images import Image, load
from maquette.client.in_flight import Item, Window
from maquette.client.retry import AWAY, Budget
from maquette.client.services import CONTRACTS, Service
from maquette.client.streaming import Answer
from protos.maquette.classify.v1.classify_pb2 import ClassifyResponse
from protos.maquette.cluster_assign.v1.cluster_assign_pb2 import AssignResponse, ListClustersResponse
from protos.maquette.common.v1.common_pb2 import Model
from protos.maquette.embed_latent.v1.embed_latent_pb2 import EmbedResponse, GetSpaceResponse
from protos.maquette.remove_background.v1.remove_background_pb2 import Adapter, RemoveBackgroundResponse

Output = Literal["mask", "cutout", "both"]
Frame = Literal["sensor", "display"]

IN_FLIGHT = 8
MESSAGE_BYTES = "maquette-message-bytes"
# Seconds. Longer than a pod takes to drain, stop and start again: a night's work hangs on it.
PATIENCE = 25.0
_MAX_BYTES_IN_FLIGHT = 256 * 2**20


class Client:
    """A connection to the services; closes with ``with`` or :meth:`close`, and may be used from several threads.

    ``server`` is ``HOST`` (each service on its default port), ``HOST:PORT``, either after ``grpcs://`` or ``https://`` for
    TLS, or one such address a service in a mapping; by default ``MAQUETTE_SERVER`` of the environment, else ``localhost``.
    ``key`` is the API key, by default ``MAQUETTE_KEY``. ``ca`` is a PEM file of the authority that signed the server's
    certificate, where that is not one of the well-known ones. ``timeout`` is the longest wait for one answer and ``patience``
    how long in all a service that is away, starting or full is asked again, both in seconds: a question is over after the
    longer of the two.

    An image is given as its encoded bytes, as the path of a file, or as a file object opened in binary mode. Answers are the
    messages of the contract (``protos/maquette/*/v1``). Every method raises :class:`maquette.MaquetteError`; the ``*_many``
    methods put what is wrong with one image into its :class:`Answer` and raise only when the service stays away or refuses
    the key.
    """

    def __init__(
        self,
        server: str | Mapping[str, str] | None = None,
        *,
        key: str | None = None,
        ca: str | os.PathLike[str] | None = None,
        timeout: float = 120.0,
        patience: float = PATIENCE,
    ) -> None:
        self._server = os.environ.get("MAQUETTE_SERVER") or "localhost" if server is None else server
        key = os.environ.get("MAQUETTE_KEY", "") if key is None else key
        if not (key.isascii() and key.isprintable()):
            raise errors.make("PARAMETER_INVALID", "The API key holds characters that no header can carry.")
        self._metadata = (("x-api-key", key),) if key else ()
        self._ca = Path(ca) if ca else None
        self._timeout, self._patience = timeout, patience
        self._lock = threading.Lock()
        self._channels: dict[Service, grpc.Channel] = {}
        self._closes = 0
        if not isinstance(self._server, str):
            unknown = [name for name in self._server if name not in list(Service)]
            if unknown:
                names = ", ".join(Service)
                raise errors.make("PARAMETER_INVALID", f"{unknown[0]!r} is no service; the keys of server are {names}.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Hang up. Calls under way end with an error; a later call connects anew."""
        with self._lock:
            for channel in self._channels.values():
                channel.close()
            self._channels.clear()
            self._closes += 1

    def classify(self, image: Image, top_k: int | None = None, *, explain: bool | None = None) -> ClassifyResponse:
        """The ``top_k`` types (by default 3) of the sculpture in one photograph, most probable first.

        With ``explain``, also ``explanation``: a PNG of the photograph with heat over what speaks for the first of them.
        """
        return self._one(Service.CLASSIFY, image, top_k=top_k, explain=explain)  # type: ignore[no-any-return]

    def classify_many(
        self,
        images: Iterable[Image],
        top_k: int | None = None,
        *,
        explain: bool | None = None,
        in_flight: int = IN_FLIGHT,
    ) -> Iterator[Answer[ClassifyResponse]]:
        """:meth:`classify` for any number of images, lazily and in order, ``in_flight`` of them under way at a time."""
        return self._many(Service.CLASSIFY, images, in_flight, top_k=top_k, explain=explain)

    def assign(self, image: Image, neighbours: int | None = None) -> AssignResponse:
        """The soft assignment of one painting to the clusters, with its ``neighbours`` (by default 5) nearest works."""
        return self._one(Service.CLUSTER_ASSIGN, image, neighbours=neighbours)  # type: ignore[no-any-return]

    def assign_many(
        self, images: Iterable[Image], neighbours: int | None = None, *, in_flight: int = IN_FLIGHT
    ) -> Iterator[Answer[AssignResponse]]:
        """:meth:`assign` for any number of images, as :meth:`classify_many` does it."""
        return self._many(Service.CLUSTER_ASSIGN, images, in_flight, neighbours=neighbours)

    def embed(self, image: Image, features: bool | None = None, *, mask: bool | None = None) -> EmbedResponse:
        """The latent point of one figurine and, with ``features``, the encoder's wider feature vector.

        ``mask``: the service first lays the figure on white, where it has a mask model.
        """
        return self._one(Service.EMBED_LATENT, image, features=features, mask=mask)  # type: ignore[no-any-return]

    def embed_many(
        self, images: Iterable[Image], features: bool | None = None, *, mask: bool | None = None, in_flight: int = IN_FLIGHT
    ) -> Iterator[Answer[EmbedResponse]]:
        """:meth:`embed` for any number of images, as :meth:`classify_many` does it."""
        return self._many(Service.EMBED_LATENT, images, in_flight, features=features, mask=mask)

    def remove_background(
        self,
        image: Image,
        output: Output = "mask",
        *,
        frame: Frame = "sensor",
        threshold: float | None = None,
        hints: AnyHints | None = None,
        adapter: AnyAdapter | None = None,
    ) -> RemoveBackgroundResponse:
        """The mask (8-bit one-channel PNG, 255 = object), the cut-out (RGBA PNG) or both, and a report.

        ``frame="sensor"`` keeps pixel rows as the camera stored them; ``"display"`` applies the EXIF orientation. ``hints`` are
        places marked on the photograph, in its pixels in that frame: the message ``Hints`` or
        ``{"points": [{"x": 10, "y": 20, "mark": "object"}], "strokes": [{"vertices": [[1, 2], [3, 4]], "mark": "background"}],
        "box": {"left": 0, "top": 0, "right": 90, "bottom": 60}}``. ``adapter`` is what :meth:`adapt` answered, or a file of it.
        """
        parameters = _background(output, frame, threshold) | guidance.carried(
            hints=guidance.hints_of(hints), adapter=guidance.adapter_of(adapter)
        )
        return self._one(Service.REMOVE_BACKGROUND, image, **parameters)  # type: ignore[no-any-return]

    def remove_background_many(
        self,
        images: Iterable[Image],
        output: Output = "mask",
        *,
        frame: Frame = "sensor",
        threshold: float | None = None,
        adapter: AnyAdapter | None = None,
        in_flight: int = IN_FLIGHT,
    ) -> Iterator[Answer[RemoveBackgroundResponse]]:
        """:meth:`remove_background` for any number of images, as :meth:`classify_many` does it."""
        parameters = _background(output, frame, threshold) | guidance.carried(adapter=guidance.adapter_of(adapter))
        return self._many(Service.REMOVE_BACKGROUND, images, in_flight, **parameters)

    def adapt(self, examples: Iterable[Example], *, frame: Frame = "sensor") -> Adapter:
        """What the mask model can learn from 1 to 32 photographs, each with its mask (a picture of its size, object white) or
        its hints: for :meth:`remove_background` and ``remove_background_many``. The service keeps nothing of it.

        ``dice_before`` and ``dice_after`` of the answer say how good the masks of the examples are without it, and with what is
        learnt from the others; with one example they are absent.
        """
        examples, budget, request_id = list(examples), Budget(self._timeout, self._patience), uuid.uuid4().hex
        metadata = (*self._metadata, ("x-request-id", request_id))

        def attempt() -> Adapter:
            # What is wrong with a file here ends the call with an error that says nothing of it.
            wrong: list[errors.MaquetteError] = []

            def sent() -> Iterator[Any]:
                try:
                    yield from guidance.requests(examples, frame)
                except errors.MaquetteError as error:
                    wrong.append(error)
                    raise

            try:
                stub = self._stub(Service.REMOVE_BACKGROUND)
                adapters = [answer.adapter for answer in stub.Adapt(sent(), timeout=budget.attempt, metadata=metadata)]
            except grpc.RpcError as error:
                raise (wrong[0] if wrong else self._translate(Service.REMOVE_BACKGROUND, request_id)(error)) from None
            learnt: Adapter = adapters[-1]
            return learnt

        return budget.retrying(*AWAY)(attempt)

    def model(self, service: Service | str) -> Model:
        """The model behind a service: version, sha256, labels, metrics, training data, licences."""
        try:
            service = Service(service)
        except ValueError:
            names = ", ".join(Service)
            raise errors.make("PARAMETER_INVALID", f"{service!r} is no service; there are {names}.") from None
        model: Model = self._ask(service, "GetModel", {}).model
        return model

    def clusters(self) -> ListClustersResponse:
        """The clusters of the clustering model, with sizes and exemplars."""
        return self._ask(Service.CLUSTER_ASSIGN, "ListClusters", {})  # type: ignore[no-any-return]

    def space(self) -> GetSpaceResponse:
        """The latent space: its prior and its reference points."""
        return self._ask(Service.EMBED_LATENT, "GetSpace", {})  # type: ignore[no-any-return]

    def decode(self, points: Iterable[Sequence[float]], *, space: str | None = None) -> list[bytes]:
        """The picture (PNG) at each of 1 to 64 latent points, in the units of the prior.

        ``space`` is the embedding space they come from: a service whose model has another then refuses them.
        """
        fields = {"latent": [value for point in points for value in point], "embedding_space": space}
        return list(self._ask(Service.EMBED_LATENT, "Decode", fields).images)

    def address(self, service: Service) -> Address:
        """Where the client looks for a service."""
        server = self._server if isinstance(self._server, str) else self._server.get(service, "localhost")
        return Address.parse(server, service, ca=self._ca)

    def _stub(self, service: Service) -> Any:
        with self._lock:
            if service not in self._channels:
                self._channels[service] = open_channel(self.address(service), self._ca)
            return CONTRACTS[service].stub(self._channels[service])

    def _one(self, service: Service, image: Image, **parameters: Any) -> Any:
        loaded = load(image)
        if loaded.error:
            raise loaded.error
        return self._ask(service, CONTRACTS[service].method, {"image": loaded.data, **parameters})

    def _ask(self, service: Service, method: str, fields: Mapping[str, Any], request_id: str = "") -> Any:
        request_id = request_id or uuid.uuid4().hex
        request = _message(service, f"{method}Request", fields)
        # The service takes room for the message before it reads it: for this much, and not for the largest there may be.
        size = (MESSAGE_BYTES, str(request.ByteSize()))
        metadata = (*self._metadata, ("x-request-id", request_id), size)
        budget = Budget(self._timeout, self._patience)

        translate = self._translate(service, request_id)

        def attempt() -> Any:
            try:
                return getattr(self._stub(service), method)(request, timeout=budget.attempt, metadata=metadata)
            except grpc.RpcError as error:
                raise translate(error) from None

        return budget.retrying(*AWAY)(attempt)

    def _many(self, service: Service, images: Iterable[Image], in_flight: int, **parameters: Any) -> Iterator[Answer[Any]]:
        if in_flight < 1:
            raise errors.make("PARAMETER_INVALID", f"in_flight is {in_flight}; it takes 1 or more.")
        method, request_id = CONTRACTS[service].method, uuid.uuid4().hex
        request_type = type(
            _message(service, f"{method}Request", parameters)
        )  # a wrong parameter is said before any image is read
        item_type = CONTRACTS[service].message(f"{method}StreamRequest")
        metadata = (*self._metadata, ("x-request-id", request_id))

        def open_(items: Iterator[Item]) -> Any:
            requests = (item_type(id=str(i.index), request=request_type(image=i.loaded.data, **parameters)) for i in items)
            return getattr(self._stub(service), f"{method}Stream")(requests, metadata=metadata)

        def alone(data: bytes) -> Any:
            return self._ask(service, method, {"image": data, **parameters}, request_id)

        window = Window(map(load, images), in_flight, _MAX_BYTES_IN_FLIGHT)
        budget = Budget(self._timeout, self._patience, window.waiting_since)
        calls = streaming.Calls(open_, alone, self._translate(service, request_id), request_id, budget)
        return streaming.answers(window, calls)

    def _translate(self, service: Service, request_id: str) -> Callable[[grpc.RpcError], errors.MaquetteError]:
        """For one question: :meth:`close` after this ends it."""
        target, closes = self.address(service).target, self._closes
        return lambda error: errors.from_rpc(error, target, request_id, closed=self._closes > closes)


def _message(service: Service, name: str, fields: Mapping[str, Any]) -> Any:
    try:
        return CONTRACTS[service].message(name)(**fields)
    except (TypeError, ValueError) as error:
        given = ", ".join(f"{field}={value!r}" for field, value in fields.items() if field != "image")
        raise errors.make("PARAMETER_INVALID", f"{name} cannot carry {given}.") from error


def _background(output: Output, frame: Frame, threshold: float | None) -> dict[str, Any]:
    """Parameters of RemoveBackground; protobuf takes the names of enum values."""
    if output not in ("mask", "cutout", "both") or frame not in ("sensor", "display"):
        raise errors.make("PARAMETER_INVALID", "output takes mask, cutout or both; frame takes sensor or display.")
    return {"output": f"OUTPUT_{output.upper()}", "frame": f"FRAME_{frame.upper()}", "threshold": threshold}
