from protos.maquette.common.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EmbedRequest(_message.Message):
    __slots__ = ("image", "features", "mask", "id", "image_url")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    IMAGE_URL_FIELD_NUMBER: _ClassVar[int]
    image: bytes
    features: bool
    mask: bool
    id: str
    image_url: str
    def __init__(self, image: _Optional[bytes] = ..., features: _Optional[bool] = ..., mask: _Optional[bool] = ..., id: _Optional[str] = ..., image_url: _Optional[str] = ...) -> None: ...

class EmbedResponse(_message.Message):
    __slots__ = ("latent", "features", "embedding_space", "prior_distance", "unlike_training", "model_version", "request_id", "notes", "id")
    LATENT_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_SPACE_FIELD_NUMBER: _ClassVar[int]
    PRIOR_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    UNLIKE_TRAINING_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    latent: _containers.RepeatedScalarFieldContainer[float]
    features: _containers.RepeatedScalarFieldContainer[float]
    embedding_space: str
    prior_distance: float
    unlike_training: bool
    model_version: str
    request_id: str
    notes: _containers.RepeatedScalarFieldContainer[str]
    id: str
    def __init__(self, latent: _Optional[_Iterable[float]] = ..., features: _Optional[_Iterable[float]] = ..., embedding_space: _Optional[str] = ..., prior_distance: _Optional[float] = ..., unlike_training: _Optional[bool] = ..., model_version: _Optional[str] = ..., request_id: _Optional[str] = ..., notes: _Optional[_Iterable[str]] = ..., id: _Optional[str] = ...) -> None: ...

class DecodeRequest(_message.Message):
    __slots__ = ("latent", "embedding_space")
    LATENT_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_SPACE_FIELD_NUMBER: _ClassVar[int]
    latent: _containers.RepeatedScalarFieldContainer[float]
    embedding_space: str
    def __init__(self, latent: _Optional[_Iterable[float]] = ..., embedding_space: _Optional[str] = ...) -> None: ...

class DecodeResponse(_message.Message):
    __slots__ = ("images", "width", "height", "embedding_space", "model_version", "request_id")
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_SPACE_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    images: _containers.RepeatedScalarFieldContainer[bytes]
    width: int
    height: int
    embedding_space: str
    model_version: str
    request_id: str
    def __init__(self, images: _Optional[_Iterable[bytes]] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., embedding_space: _Optional[str] = ..., model_version: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class GetSpaceRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ReferencePoint(_message.Message):
    __slots__ = ("id", "group", "latent")
    ID_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    LATENT_FIELD_NUMBER: _ClassVar[int]
    id: str
    group: str
    latent: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, id: _Optional[str] = ..., group: _Optional[str] = ..., latent: _Optional[_Iterable[float]] = ...) -> None: ...

class GetSpaceResponse(_message.Message):
    __slots__ = ("embedding_space", "dimensions", "prior_mean", "prior_standard_deviation", "feature_dimensions", "groups", "points", "model_version", "farthest_decoded", "next_page_token")
    EMBEDDING_SPACE_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    PRIOR_MEAN_FIELD_NUMBER: _ClassVar[int]
    PRIOR_STANDARD_DEVIATION_FIELD_NUMBER: _ClassVar[int]
    FEATURE_DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    FARTHEST_DECODED_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    embedding_space: str
    dimensions: int
    prior_mean: _containers.RepeatedScalarFieldContainer[float]
    prior_standard_deviation: _containers.RepeatedScalarFieldContainer[float]
    feature_dimensions: int
    groups: _containers.RepeatedScalarFieldContainer[str]
    points: _containers.RepeatedCompositeFieldContainer[ReferencePoint]
    model_version: str
    farthest_decoded: float
    next_page_token: str
    def __init__(self, embedding_space: _Optional[str] = ..., dimensions: _Optional[int] = ..., prior_mean: _Optional[_Iterable[float]] = ..., prior_standard_deviation: _Optional[_Iterable[float]] = ..., feature_dimensions: _Optional[int] = ..., groups: _Optional[_Iterable[str]] = ..., points: _Optional[_Iterable[_Union[ReferencePoint, _Mapping]]] = ..., model_version: _Optional[str] = ..., farthest_decoded: _Optional[float] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: _common_pb2.Model
    def __init__(self, model: _Optional[_Union[_common_pb2.Model, _Mapping]] = ...) -> None: ...

class EmbedStreamRequest(_message.Message):
    __slots__ = ("id", "request")
    ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    id: str
    request: EmbedRequest
    def __init__(self, id: _Optional[str] = ..., request: _Optional[_Union[EmbedRequest, _Mapping]] = ...) -> None: ...

class EmbedStreamResponse(_message.Message):
    __slots__ = ("id", "response", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: str
    response: EmbedResponse
    error: _common_pb2.Error
    def __init__(self, id: _Optional[str] = ..., response: _Optional[_Union[EmbedResponse, _Mapping]] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...
