"""The client of Maquette's services: ``Client`` in Python, ``maquette`` on the command line. See ``docs/client.md``."""

from maquette.client.asynchronous import AsyncClient
from maquette.client.client import Client
from maquette.client.errors import (
    AdapterMismatch,
    DeadlineExceeded,
    FileFailed,
    ImageRejected,
    MaquetteError,
    Overloaded,
    ParameterInvalid,
    ServiceFailed,
    SpacesDiffer,
    Unauthenticated,
    Unavailable,
)
from maquette.client.services import Service
from maquette.client.streaming import Answer

__all__ = [
    "AdapterMismatch",
    "Answer",
    "AsyncClient",
    "Client",
    "DeadlineExceeded",
    "FileFailed",
    "ImageRejected",
    "MaquetteError",
    "Overloaded",
    "ParameterInvalid",
    "Service",
    "ServiceFailed",
    "SpacesDiffer",
    "Unauthenticated",
    "Unavailable",
]
