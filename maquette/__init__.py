"""The client of Maquette's services: ``Client`` in Python, ``maquette`` on the command line. See ``docs/client.md``."""

from maquette.client import Client
from maquette.contract import Service
from maquette.errors import (
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
from maquette.stream import Answer

__all__ = [
    "Answer",
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
