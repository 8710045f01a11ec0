from protos.maquette.common.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Output(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTPUT_UNSPECIFIED: _ClassVar[Output]
    OUTPUT_MASK: _ClassVar[Output]
    OUTPUT_CUTOUT: _ClassVar[Output]
    OUTPUT_BOTH: _ClassVar[Output]

class Frame(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FRAME_UNSPECIFIED: _ClassVar[Frame]
    FRAME_SENSOR: _ClassVar[Frame]
    FRAME_DISPLAY: _ClassVar[Frame]

class Mark(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MARK_UNSPECIFIED: _ClassVar[Mark]
    MARK_OBJECT: _ClassVar[Mark]
    MARK_BACKGROUND: _ClassVar[Mark]
OUTPUT_UNSPECIFIED: Output
OUTPUT_MASK: Output
OUTPUT_CUTOUT: Output
OUTPUT_BOTH: Output
FRAME_UNSPECIFIED: Frame
FRAME_SENSOR: Frame
FRAME_DISPLAY: Frame
MARK_UNSPECIFIED: Mark
MARK_OBJECT: Mark
MARK_BACKGROUND: Mark

class RemoveBackgroundRequest(_message.Message):
    __slots__ = ("image", "output", "frame", "threshold", "id", "hints", "adapter", "image_url")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    HINTS_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    IMAGE_URL_FIELD_NUMBER: _ClassVar[int]
    image: bytes
    output: Output
    frame: Frame
    threshold: float
    id: str
    hints: Hints
    adapter: Adapter
    image_url: str
    def __init__(self, image: _Optional[bytes] = ..., output: _Optional[_Union[Output, str]] = ..., frame: _Optional[_Union[Frame, str]] = ..., threshold: _Optional[float] = ..., id: _Optional[str] = ..., hints: _Optional[_Union[Hints, _Mapping]] = ..., adapter: _Optional[_Union[Adapter, _Mapping]] = ..., image_url: _Optional[str] = ...) -> None: ...

class Vertex(_message.Message):
    __slots__ = ("x", "y")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    x: float
    y: float
    def __init__(self, x: _Optional[float] = ..., y: _Optional[float] = ...) -> None: ...

class Point(_message.Message):
    __slots__ = ("x", "y", "mark")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    MARK_FIELD_NUMBER: _ClassVar[int]
    x: float
    y: float
    mark: Mark
    def __init__(self, x: _Optional[float] = ..., y: _Optional[float] = ..., mark: _Optional[_Union[Mark, str]] = ...) -> None: ...

class Stroke(_message.Message):
    __slots__ = ("vertices", "width", "mark")
    VERTICES_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    MARK_FIELD_NUMBER: _ClassVar[int]
    vertices: _containers.RepeatedCompositeFieldContainer[Vertex]
    width: float
    mark: Mark
    def __init__(self, vertices: _Optional[_Iterable[_Union[Vertex, _Mapping]]] = ..., width: _Optional[float] = ..., mark: _Optional[_Union[Mark, str]] = ...) -> None: ...

class Box(_message.Message):
    __slots__ = ("left", "top", "right", "bottom")
    LEFT_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    BOTTOM_FIELD_NUMBER: _ClassVar[int]
    left: float
    top: float
    right: float
    bottom: float
    def __init__(self, left: _Optional[float] = ..., top: _Optional[float] = ..., right: _Optional[float] = ..., bottom: _Optional[float] = ...) -> None: ...

class Hints(_message.Message):
    __slots__ = ("points", "strokes", "box")
    POINTS_FIELD_NUMBER: _ClassVar[int]
    STROKES_FIELD_NUMBER: _ClassVar[int]
    BOX_FIELD_NUMBER: _ClassVar[int]
    points: _containers.RepeatedCompositeFieldContainer[Point]
    strokes: _containers.RepeatedCompositeFieldContainer[Stroke]
    box: Box
    def __init__(self, points: _Optional[_Iterable[_Union[Point, _Mapping]]] = ..., strokes: _Optional[_Iterable[_Union[Stroke, _Mapping]]] = ..., box: _Optional[_Union[Box, _Mapping]] = ...) -> None: ...

class Adapter(_message.Message):
    __slots__ = ("version", "model_version", "model_sha256", "weights", "constant", "examples", "dice_before", "dice_after")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_SHA256_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    CONSTANT_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    DICE_BEFORE_FIELD_NUMBER: _ClassVar[int]
    DICE_AFTER_FIELD_NUMBER: _ClassVar[int]
    version: int
    model_version: str
    model_sha256: str
    weights: _containers.RepeatedScalarFieldContainer[float]
    constant: float
    examples: _containers.RepeatedCompositeFieldContainer[AdapterExample]
    dice_before: float
    dice_after: float
    def __init__(self, version: _Optional[int] = ..., model_version: _Optional[str] = ..., model_sha256: _Optional[str] = ..., weights: _Optional[_Iterable[float]] = ..., constant: _Optional[float] = ..., examples: _Optional[_Iterable[_Union[AdapterExample, _Mapping]]] = ..., dice_before: _Optional[float] = ..., dice_after: _Optional[float] = ...) -> None: ...

class AdapterExample(_message.Message):
    __slots__ = ("sha256", "from_hints", "coverage")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    FROM_HINTS_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    from_hints: bool
    coverage: float
    def __init__(self, sha256: _Optional[str] = ..., from_hints: _Optional[bool] = ..., coverage: _Optional[float] = ...) -> None: ...

class AdaptRequest(_message.Message):
    __slots__ = ("image", "frame", "mask", "hints")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    HINTS_FIELD_NUMBER: _ClassVar[int]
    image: bytes
    frame: Frame
    mask: bytes
    hints: Hints
    def __init__(self, image: _Optional[bytes] = ..., frame: _Optional[_Union[Frame, str]] = ..., mask: _Optional[bytes] = ..., hints: _Optional[_Union[Hints, _Mapping]] = ...) -> None: ...

class AdaptResponse(_message.Message):
    __slots__ = ("adapter", "request_id")
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    adapter: Adapter
    request_id: str
    def __init__(self, adapter: _Optional[_Union[Adapter, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class EdgeContact(_message.Message):
    __slots__ = ("top", "right", "bottom", "left")
    TOP_FIELD_NUMBER: _ClassVar[int]
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    BOTTOM_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    top: bool
    right: bool
    bottom: bool
    left: bool
    def __init__(self, top: _Optional[bool] = ..., right: _Optional[bool] = ..., bottom: _Optional[bool] = ..., left: _Optional[bool] = ...) -> None: ...

class Report(_message.Message):
    __slots__ = ("width", "height", "coverage", "edges", "components", "empty", "uncertainty")
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    COMPONENTS_FIELD_NUMBER: _ClassVar[int]
    EMPTY_FIELD_NUMBER: _ClassVar[int]
    UNCERTAINTY_FIELD_NUMBER: _ClassVar[int]
    width: int
    height: int
    coverage: float
    edges: EdgeContact
    components: int
    empty: bool
    uncertainty: float
    def __init__(self, width: _Optional[int] = ..., height: _Optional[int] = ..., coverage: _Optional[float] = ..., edges: _Optional[_Union[EdgeContact, _Mapping]] = ..., components: _Optional[int] = ..., empty: _Optional[bool] = ..., uncertainty: _Optional[float] = ...) -> None: ...

class RemoveBackgroundResponse(_message.Message):
    __slots__ = ("mask", "cutout", "report", "model_version", "request_id", "notes", "id")
    MASK_FIELD_NUMBER: _ClassVar[int]
    CUTOUT_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    mask: bytes
    cutout: bytes
    report: Report
    model_version: str
    request_id: str
    notes: _containers.RepeatedScalarFieldContainer[str]
    id: str
    def __init__(self, mask: _Optional[bytes] = ..., cutout: _Optional[bytes] = ..., report: _Optional[_Union[Report, _Mapping]] = ..., model_version: _Optional[str] = ..., request_id: _Optional[str] = ..., notes: _Optional[_Iterable[str]] = ..., id: _Optional[str] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: _common_pb2.Model
    def __init__(self, model: _Optional[_Union[_common_pb2.Model, _Mapping]] = ...) -> None: ...

class RemoveBackgroundStreamRequest(_message.Message):
    __slots__ = ("id", "request")
    ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    id: str
    request: RemoveBackgroundRequest
    def __init__(self, id: _Optional[str] = ..., request: _Optional[_Union[RemoveBackgroundRequest, _Mapping]] = ...) -> None: ...

class RemoveBackgroundStreamResponse(_message.Message):
    __slots__ = ("id", "response", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: str
    response: RemoveBackgroundResponse
    error: _common_pb2.Error
    def __init__(self, id: _Optional[str] = ..., response: _Optional[_Union[RemoveBackgroundResponse, _Mapping]] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...
