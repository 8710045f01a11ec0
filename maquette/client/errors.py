"""What can go wrong in a call, by the service's own codes.

MaquetteError                 .code  .detail  .request_id
├── ImageRejected             IMAGE_MISSING, IMAGE_UNDECODABLE, IMAGE_TRUNCATED, IMAGE_FORMAT_UNSUPPORTED,
│                             IMAGE_TOO_MANY_BYTES, IMAGE_TOO_MANY_PIXELS
├── ParameterInvalid          PARAMETER_INVALID, here or at the service
├── AdapterMismatch           ADAPTER_MISMATCH: an adapter of another model
├── Unauthenticated           UNAUTHENTICATED
├── Overloaded                OVERLOADED, after the retries
├── DeadlineExceeded          DEADLINE_EXCEEDED
├── Unavailable               NOT_READY, UNREACHABLE: no service answers, after the retries
├── SpacesDiffer              SPACES_DIFFER: embeddings of two models would be compared
├── ServiceFailed             INTERNAL, and every code this client does not know
├── FileFailed                FILE_UNREADABLE, FILE_UNWRITABLE: a file on this side
└── StoreFailed               STORE_UNREACHABLE, STORE_UNWRITABLE: the database that vectors are written to

A code that starts with FILE_ or STORE_, or is SPACES_DIFFER, UNREACHABLE or UNSUPPORTED is the client's own; the others come
from the service.
"""

from __future__ import annotations

from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

DOMAIN = "maquette"
# The service's state, not the photograph's: worth asking again when the service has had time.
PASSING = ("UNREACHABLE", "NOT_READY", "OVERLOADED", "DEADLINE_EXCEEDED")


class MaquetteError(Exception):
    """``code`` is stable, programs may branch on it; ``detail`` is one sentence for a person; both are in ``str()``."""

    def __init__(self, code: str, detail: str, request_id: str = "") -> None:
        super().__init__(f"{detail} ({code})")
        self.code = code
        self.detail = detail
        self.request_id = request_id


class ImageRejected(MaquetteError):
    """The service will not take this image; sending it again does not help."""


class ParameterInvalid(MaquetteError):
    """A parameter is out of range; ``detail`` names it."""


class AdapterMismatch(MaquetteError):
    """The adapter was learnt on another model; learn it anew."""


class Unauthenticated(MaquetteError):
    """The API key is missing or wrong."""


class Overloaded(MaquetteError):
    """The service is at capacity; it may be asked again later."""


class DeadlineExceeded(MaquetteError):
    """No answer within the time allowed."""


class Unavailable(MaquetteError):
    """Nobody answers at that address, or the service is starting or stopping; it may be asked again later."""


class SpacesDiffer(MaquetteError):
    """Embeddings of two spaces met; ``detail`` names both."""


class ServiceFailed(MaquetteError):
    """A fault of the service; its log knows ``request_id``."""


class FileFailed(MaquetteError):
    """A file on this side cannot be read or written."""


class StoreFailed(MaquetteError):
    """The database that vectors are written to cannot be reached or written."""


_CLASSES: dict[str, type[MaquetteError]] = {
    "PARAMETER_INVALID": ParameterInvalid,
    "ADAPTER_MISMATCH": AdapterMismatch,
    "UNAUTHENTICATED": Unauthenticated,
    "OVERLOADED": Overloaded,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "NOT_READY": Unavailable,
    "UNREACHABLE": Unavailable,
    "SPACES_DIFFER": SpacesDiffer,
    "FILE_UNREADABLE": FileFailed,
    "FILE_UNWRITABLE": FileFailed,
    "STORE_UNREACHABLE": StoreFailed,
    "STORE_UNWRITABLE": StoreFailed,
}

# For failures that gRPC itself reports, without an ErrorInfo of the service.
_STATUS_CODES = {
    grpc.StatusCode.UNAVAILABLE: "UNREACHABLE",
    # Of a call that this side did not cancel: its replica closed while the call was on its way.
    grpc.StatusCode.CANCELLED: "UNREACHABLE",
    grpc.StatusCode.DEADLINE_EXCEEDED: "DEADLINE_EXCEEDED",
    grpc.StatusCode.UNAUTHENTICATED: "UNAUTHENTICATED",
    grpc.StatusCode.UNIMPLEMENTED: "UNSUPPORTED",
    # gRPC's own use of this status is a message over the receiver's limit: no service was too busy.
    grpc.StatusCode.RESOURCE_EXHAUSTED: "IMAGE_TOO_MANY_BYTES",
}


def make(code: str, detail: str, request_id: str = "") -> MaquetteError:
    """The exception of a code."""
    kind = ImageRejected if code.startswith("IMAGE_") else _CLASSES.get(code, ServiceFailed)
    return kind(code, detail, request_id)


def from_rpc(error: Any, target: str, request_id: str, *, closed: bool = False) -> MaquetteError:
    """The exception of a failed call to ``target``: its ``google.rpc.ErrorInfo`` decides, else its gRPC status.

    ``closed``: this side closed the connection during the call, which so was not cancelled by the service.
    ``error`` is a ``grpc.RpcError`` that is a ``grpc.Call`` too, as every call raises it; no type says both.
    """
    if closed and error.code() is grpc.StatusCode.CANCELLED:
        return make("INTERNAL", "The client was closed during the call.", request_id)
    details: str = error.details() or ""
    try:
        status = rpc_status.from_call(error)
    except ValueError:  # the trailing details contradict the status: a proxy made one of the two
        status = None
    info = error_details_pb2.ErrorInfo()
    for packed in status.details if status else ():
        ours = packed.Is(info.DESCRIPTOR) and packed.Unpack(info) and info.domain == DOMAIN
        # A method that is not there is another service's, whoever says so.
        if ours and error.code() is not grpc.StatusCode.UNIMPLEMENTED:
            return make(info.reason, details, request_id)
    code = _STATUS_CODES.get(error.code(), "INTERNAL")
    reason = details.rpartition("last error: ")[2]  # of all addresses of the name, the last one tried
    return make(code, _SENTENCES.get(code, "{target} answered: {reason}").format(target=target, reason=reason), request_id)


_SENTENCES = {
    "UNREACHABLE": "No service answers at {target}: {reason}",
    "DEADLINE_EXCEEDED": "{target} did not answer in time.",
    "UNSUPPORTED": "The server at {target} does not offer this service; is it the address of another one?",
    "IMAGE_TOO_MANY_BYTES": "{target} does not take messages of that size: {reason}",
}
