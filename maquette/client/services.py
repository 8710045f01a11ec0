"""The four services as the committed stubs know them: names, ports, methods and messages."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import ModuleType
from typing import Any

from protos.maquette.classify.v1 import classify_pb2, classify_pb2_grpc
from protos.maquette.cluster_assign.v1 import cluster_assign_pb2, cluster_assign_pb2_grpc
from protos.maquette.embed_latent.v1 import embed_latent_pb2, embed_latent_pb2_grpc
from protos.maquette.remove_background.v1 import remove_background_pb2, remove_background_pb2_grpc


class Service(StrEnum):
    """The services, as they are called everywhere."""

    CLASSIFY = "classify"
    CLUSTER_ASSIGN = "cluster_assign"
    EMBED_LATENT = "embed_latent"
    REMOVE_BACKGROUND = "remove_background"


@dataclass(frozen=True)
class Contract:
    """``method`` answers one photograph, ``<method>Stream`` many; ``others`` are the further unary methods."""

    messages: ModuleType
    stub: Any
    method: str
    port: int
    others: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """``maquette.classify.v1.ClassifyService``."""
        (name,) = self.messages.DESCRIPTOR.services_by_name.values()
        return str(name.full_name)

    @property
    def unary_methods(self) -> tuple[str, ...]:
        return (self.method, "GetModel", *self.others)

    def message(self, name: str) -> Any:
        """The class of the message of that name, such as ``ClassifyRequest``."""
        return getattr(self.messages, name)


CONTRACTS: dict[Service, Contract] = {
    Service.CLASSIFY: Contract(classify_pb2, classify_pb2_grpc.ClassifyServiceStub, "Classify", 50051),
    Service.CLUSTER_ASSIGN: Contract(
        cluster_assign_pb2, cluster_assign_pb2_grpc.ClusterAssignServiceStub, "Assign", 50052, ("ListClusters",)
    ),
    Service.EMBED_LATENT: Contract(
        embed_latent_pb2, embed_latent_pb2_grpc.EmbedLatentServiceStub, "Embed", 50053, ("GetSpace", "Decode")
    ),
    Service.REMOVE_BACKGROUND: Contract(
        remove_background_pb2, remove_background_pb2_grpc.RemoveBackgroundServiceStub, "RemoveBackground", 50054
    ),
}
