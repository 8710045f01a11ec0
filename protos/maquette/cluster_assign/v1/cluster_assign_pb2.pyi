from protos.maquette.common.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AssignRequest(_message.Message):
    __slots__ = ("image", "neighbours", "id", "image_url")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    NEIGHBOURS_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    IMAGE_URL_FIELD_NUMBER: _ClassVar[int]
    image: bytes
    neighbours: int
    id: str
    image_url: str
    def __init__(self, image: _Optional[bytes] = ..., neighbours: _Optional[int] = ..., id: _Optional[str] = ..., image_url: _Optional[str] = ...) -> None: ...

class Assignment(_message.Message):
    __slots__ = ("cluster", "q")
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    Q_FIELD_NUMBER: _ClassVar[int]
    cluster: int
    q: float
    def __init__(self, cluster: _Optional[int] = ..., q: _Optional[float] = ...) -> None: ...

class Neighbour(_message.Message):
    __slots__ = ("id", "distance", "cluster")
    ID_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    id: str
    distance: float
    cluster: int
    def __init__(self, id: _Optional[str] = ..., distance: _Optional[float] = ..., cluster: _Optional[int] = ...) -> None: ...

class Cluster(_message.Message):
    __slots__ = ("id", "size", "silhouette", "exemplars", "outliers")
    ID_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SILHOUETTE_FIELD_NUMBER: _ClassVar[int]
    EXEMPLARS_FIELD_NUMBER: _ClassVar[int]
    OUTLIERS_FIELD_NUMBER: _ClassVar[int]
    id: int
    size: int
    silhouette: float
    exemplars: _containers.RepeatedScalarFieldContainer[str]
    outliers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[int] = ..., size: _Optional[int] = ..., silhouette: _Optional[float] = ..., exemplars: _Optional[_Iterable[str]] = ..., outliers: _Optional[_Iterable[str]] = ...) -> None: ...

class AssignResponse(_message.Message):
    __slots__ = ("cluster", "assignments", "between", "neighbours", "embedding", "embedding_space", "model_version", "request_id", "notes", "id")
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENTS_FIELD_NUMBER: _ClassVar[int]
    BETWEEN_FIELD_NUMBER: _ClassVar[int]
    NEIGHBOURS_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_SPACE_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    cluster: Cluster
    assignments: _containers.RepeatedCompositeFieldContainer[Assignment]
    between: bool
    neighbours: _containers.RepeatedCompositeFieldContainer[Neighbour]
    embedding: _containers.RepeatedScalarFieldContainer[float]
    embedding_space: str
    model_version: str
    request_id: str
    notes: _containers.RepeatedScalarFieldContainer[str]
    id: str
    def __init__(self, cluster: _Optional[_Union[Cluster, _Mapping]] = ..., assignments: _Optional[_Iterable[_Union[Assignment, _Mapping]]] = ..., between: _Optional[bool] = ..., neighbours: _Optional[_Iterable[_Union[Neighbour, _Mapping]]] = ..., embedding: _Optional[_Iterable[float]] = ..., embedding_space: _Optional[str] = ..., model_version: _Optional[str] = ..., request_id: _Optional[str] = ..., notes: _Optional[_Iterable[str]] = ..., id: _Optional[str] = ...) -> None: ...

class ListClustersRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListClustersResponse(_message.Message):
    __slots__ = ("clusters", "model_version", "embedding_space", "next_page_token")
    CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_SPACE_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    clusters: _containers.RepeatedCompositeFieldContainer[Cluster]
    model_version: str
    embedding_space: str
    next_page_token: str
    def __init__(self, clusters: _Optional[_Iterable[_Union[Cluster, _Mapping]]] = ..., model_version: _Optional[str] = ..., embedding_space: _Optional[str] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: _common_pb2.Model
    def __init__(self, model: _Optional[_Union[_common_pb2.Model, _Mapping]] = ...) -> None: ...

class AssignStreamRequest(_message.Message):
    __slots__ = ("id", "request")
    ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    id: str
    request: AssignRequest
    def __init__(self, id: _Optional[str] = ..., request: _Optional[_Union[AssignRequest, _Mapping]] = ...) -> None: ...

class AssignStreamResponse(_message.Message):
    __slots__ = ("id", "response", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: str
    response: AssignResponse
    error: _common_pb2.Error
    def __init__(self, id: _Optional[str] = ..., response: _Optional[_Union[AssignResponse, _Mapping]] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...
