"""The errors a caller can cause, and the one table that gives each its HTTP status and gRPC code.

MaquetteError
├── ImageMissing  ImageUndecodable  ImageTruncated  ImageFormatUnsupported  ImageTooManyBytes  ImageTooManyPixels
├── SourceNotAllowed  SourceFailed  SourceTimeout
├── ParameterInvalid  AdapterMismatch
├── Unauthenticated
├── Overloaded  DeadlineExceeded  NotReady
├── NotFound  MethodNotAllowed
└── Internal            a bug; the exception's own message never leaves the process

The domain raises these classes and knows no transport; ``http.py`` and ``grpc_server.py`` look the codes up in ``TABLE``.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import grpc

# A sentence that quotes what a caller sent is cut here, so that it stays a sentence.
_LONGEST = 600


class MaquetteError(Exception):
    """``detail`` is one sentence for the caller that says what to do. It never holds a path or another exception's text."""

    code: ClassVar[str]

    def __init__(self, detail: str) -> None:
        detail = detail if len(detail) <= _LONGEST else f"{detail[: _LONGEST // 2]} ... {detail[-_LONGEST // 2 :]}"
        super().__init__(detail)
        # Half a surrogate pair that was quoted can be put into no answer.
        self.detail = detail.encode(errors="replace").decode()


class ImageMissing(MaquetteError):
    code = "IMAGE_MISSING"


class ImageUndecodable(MaquetteError):
    code = "IMAGE_UNDECODABLE"


class ImageTruncated(MaquetteError):
    code = "IMAGE_TRUNCATED"


class ImageFormatUnsupported(MaquetteError):
    code = "IMAGE_FORMAT_UNSUPPORTED"


class ImageTooManyBytes(MaquetteError):
    code = "IMAGE_TOO_MANY_BYTES"


class ImageTooManyPixels(MaquetteError):
    code = "IMAGE_TOO_MANY_PIXELS"


class SourceNotAllowed(MaquetteError):
    code = "SOURCE_NOT_ALLOWED"


class SourceFailed(MaquetteError):
    code = "SOURCE_FAILED"


class SourceTimeout(MaquetteError):
    code = "SOURCE_TIMEOUT"


class ParameterInvalid(MaquetteError):
    code = "PARAMETER_INVALID"


class AdapterMismatch(MaquetteError):
    code = "ADAPTER_MISMATCH"


class Unauthenticated(MaquetteError):
    code = "UNAUTHENTICATED"


class Overloaded(MaquetteError):
    code = "OVERLOADED"


class DeadlineExceeded(MaquetteError):
    code = "DEADLINE_EXCEEDED"


class NotReady(MaquetteError):
    code = "NOT_READY"


class NotFound(MaquetteError):
    code = "NOT_FOUND"


class MethodNotAllowed(MaquetteError):
    code = "METHOD_NOT_ALLOWED"


class Internal(MaquetteError):
    code = "INTERNAL"

    def __init__(self) -> None:
        super().__init__("The service failed; the request id finds the cause in its log.")


class Row(NamedTuple):
    """``retry_after`` is in seconds, for HTTP's Retry-After and google.rpc.RetryInfo; None where retrying does not help."""

    title: str
    http: int
    grpc: grpc.StatusCode
    retry_after: int | None = None


TABLE: dict[str, Row] = {
    "IMAGE_MISSING": Row("No image was sent", 400, grpc.StatusCode.INVALID_ARGUMENT),
    "IMAGE_UNDECODABLE": Row("The bytes are not an image", 400, grpc.StatusCode.INVALID_ARGUMENT),
    "IMAGE_TRUNCATED": Row("The image is cut short", 400, grpc.StatusCode.INVALID_ARGUMENT),
    "IMAGE_FORMAT_UNSUPPORTED": Row("The image format is not supported", 415, grpc.StatusCode.INVALID_ARGUMENT),
    "IMAGE_TOO_MANY_BYTES": Row("The image file is too large", 413, grpc.StatusCode.INVALID_ARGUMENT),
    "IMAGE_TOO_MANY_PIXELS": Row("The image has too many pixels", 413, grpc.StatusCode.INVALID_ARGUMENT),
    # A photograph by its address. Not 502: programs and proxies send such a request again, which helps against no 404.
    "SOURCE_NOT_ALLOWED": Row("The photograph's address is not allowed", 403, grpc.StatusCode.PERMISSION_DENIED),
    "SOURCE_FAILED": Row("The photograph could not be fetched", 424, grpc.StatusCode.FAILED_PRECONDITION),
    "SOURCE_TIMEOUT": Row("The photograph was not fetched in time", 504, grpc.StatusCode.DEADLINE_EXCEEDED),
    "PARAMETER_INVALID": Row("A parameter is invalid", 422, grpc.StatusCode.INVALID_ARGUMENT),
    "ADAPTER_MISMATCH": Row("The adapter is another model's", 409, grpc.StatusCode.FAILED_PRECONDITION),
    "UNAUTHENTICATED": Row("The API key is missing or wrong", 401, grpc.StatusCode.UNAUTHENTICATED),
    "OVERLOADED": Row("The service is at capacity", 503, grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after=1),
    "DEADLINE_EXCEEDED": Row("The deadline passed", 504, grpc.StatusCode.DEADLINE_EXCEEDED),
    "NOT_READY": Row("The service is not ready", 503, grpc.StatusCode.UNAVAILABLE, retry_after=1),
    # HTTP's own: gRPC answers UNIMPLEMENTED by itself (docs/decisions/0002).
    "NOT_FOUND": Row("There is nothing at this path", 404, grpc.StatusCode.UNIMPLEMENTED),
    "METHOD_NOT_ALLOWED": Row("The path does not take this method", 405, grpc.StatusCode.UNIMPLEMENTED),
    "INTERNAL": Row("The service failed", 500, grpc.StatusCode.INTERNAL),
}
