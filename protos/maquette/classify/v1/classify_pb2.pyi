from protos.maquette.common.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AbstentionReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ABSTENTION_REASON_UNSPECIFIED: _ClassVar[AbstentionReason]
    ABSTENTION_REASON_NO_SCULPTURE: _ClassVar[AbstentionReason]
    ABSTENTION_REASON_UNSURE_OF_TYPE: _ClassVar[AbstentionReason]
ABSTENTION_REASON_UNSPECIFIED: AbstentionReason
ABSTENTION_REASON_NO_SCULPTURE: AbstentionReason
ABSTENTION_REASON_UNSURE_OF_TYPE: AbstentionReason

class ClassifyRequest(_message.Message):
    __slots__ = ("image", "top_k", "explain", "id", "confidence", "image_url")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_URL_FIELD_NUMBER: _ClassVar[int]
    image: bytes
    top_k: int
    explain: bool
    id: str
    confidence: float
    image_url: str
    def __init__(self, image: _Optional[bytes] = ..., top_k: _Optional[int] = ..., explain: _Optional[bool] = ..., id: _Optional[str] = ..., confidence: _Optional[float] = ..., image_url: _Optional[str] = ...) -> None: ...

class Prediction(_message.Message):
    __slots__ = ("label", "name", "probability", "uri", "broader")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    BROADER_FIELD_NUMBER: _ClassVar[int]
    label: str
    name: str
    probability: float
    uri: str
    broader: str
    def __init__(self, label: _Optional[str] = ..., name: _Optional[str] = ..., probability: _Optional[float] = ..., uri: _Optional[str] = ..., broader: _Optional[str] = ...) -> None: ...

class ClassifyResponse(_message.Message):
    __slots__ = ("predictions", "abstained", "model_version", "request_id", "notes", "explanation", "id", "abstention_reason", "confidence")
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    ABSTAINED_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    ABSTENTION_REASON_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    predictions: _containers.RepeatedCompositeFieldContainer[Prediction]
    abstained: bool
    model_version: str
    request_id: str
    notes: _containers.RepeatedScalarFieldContainer[str]
    explanation: bytes
    id: str
    abstention_reason: AbstentionReason
    confidence: float
    def __init__(self, predictions: _Optional[_Iterable[_Union[Prediction, _Mapping]]] = ..., abstained: _Optional[bool] = ..., model_version: _Optional[str] = ..., request_id: _Optional[str] = ..., notes: _Optional[_Iterable[str]] = ..., explanation: _Optional[bytes] = ..., id: _Optional[str] = ..., abstention_reason: _Optional[_Union[AbstentionReason, str]] = ..., confidence: _Optional[float] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: _common_pb2.Model
    def __init__(self, model: _Optional[_Union[_common_pb2.Model, _Mapping]] = ...) -> None: ...

class ClassifyStreamRequest(_message.Message):
    __slots__ = ("id", "request")
    ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    id: str
    request: ClassifyRequest
    def __init__(self, id: _Optional[str] = ..., request: _Optional[_Union[ClassifyRequest, _Mapping]] = ...) -> None: ...

class ClassifyStreamResponse(_message.Message):
    __slots__ = ("id", "response", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: str
    response: ClassifyResponse
    error: _common_pb2.Error
    def __init__(self, id: _Optional[str] = ..., response: _Optional[_Union[ClassifyResponse, _Mapping]] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...
