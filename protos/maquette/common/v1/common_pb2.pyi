import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ResizeRule(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESIZE_RULE_UNSPECIFIED: _ClassVar[ResizeRule]
    RESIZE_RULE_SQUASH: _ClassVar[ResizeRule]
    RESIZE_RULE_LETTERBOX: _ClassVar[ResizeRule]
    RESIZE_RULE_CENTER_CROP: _ClassVar[ResizeRule]
RESIZE_RULE_UNSPECIFIED: ResizeRule
RESIZE_RULE_SQUASH: ResizeRule
RESIZE_RULE_LETTERBOX: ResizeRule
RESIZE_RULE_CENTER_CROP: ResizeRule

class Error(_message.Message):
    __slots__ = ("code", "detail", "status")
    CODE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    code: str
    detail: str
    status: _status_pb2.Status
    def __init__(self, code: _Optional[str] = ..., detail: _Optional[str] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class Label(_message.Message):
    __slots__ = ("id", "name", "uri", "broader")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    BROADER_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    uri: str
    broader: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., uri: _Optional[str] = ..., broader: _Optional[str] = ...) -> None: ...

class ModelInput(_message.Message):
    __slots__ = ("height", "width", "resize", "resize_rule")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    RESIZE_FIELD_NUMBER: _ClassVar[int]
    RESIZE_RULE_FIELD_NUMBER: _ClassVar[int]
    height: int
    width: int
    resize: str
    resize_rule: ResizeRule
    def __init__(self, height: _Optional[int] = ..., width: _Optional[int] = ..., resize: _Optional[str] = ..., resize_rule: _Optional[_Union[ResizeRule, str]] = ...) -> None: ...

class TrainingData(_message.Message):
    __slots__ = ("name", "items", "licence", "note")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    LICENCE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    name: str
    items: int
    licence: str
    note: str
    def __init__(self, name: _Optional[str] = ..., items: _Optional[int] = ..., licence: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("name", "version", "sha256", "architecture", "input", "labels", "clusters", "embedding_space", "metrics", "training_data", "licence", "intended_use", "not_for", "created", "provider", "precision", "create_time")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_SPACE_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    TRAINING_DATA_FIELD_NUMBER: _ClassVar[int]
    LICENCE_FIELD_NUMBER: _ClassVar[int]
    INTENDED_USE_FIELD_NUMBER: _ClassVar[int]
    NOT_FOR_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    sha256: str
    architecture: str
    input: ModelInput
    labels: _containers.RepeatedCompositeFieldContainer[Label]
    clusters: int
    embedding_space: str
    metrics: _containers.ScalarMap[str, float]
    training_data: _containers.RepeatedCompositeFieldContainer[TrainingData]
    licence: str
    intended_use: str
    not_for: str
    created: str
    provider: str
    precision: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., sha256: _Optional[str] = ..., architecture: _Optional[str] = ..., input: _Optional[_Union[ModelInput, _Mapping]] = ..., labels: _Optional[_Iterable[_Union[Label, _Mapping]]] = ..., clusters: _Optional[int] = ..., embedding_space: _Optional[str] = ..., metrics: _Optional[_Mapping[str, float]] = ..., training_data: _Optional[_Iterable[_Union[TrainingData, _Mapping]]] = ..., licence: _Optional[str] = ..., intended_use: _Optional[str] = ..., not_for: _Optional[str] = ..., created: _Optional[str] = ..., provider: _Optional[str] = ..., precision: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
