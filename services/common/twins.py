"""The int8 twin of a bundle's graph: the same network in 8-bit integers, faster where the processor has instructions for them.

``model.int8.onnx`` and what is known of it, ``int8.json`` (:class:`Twin`), stand beside the graph and are made by
``training.common.quantise``. Why, and when it is not used: docs/decisions/0018-int8.md.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.common import models
from services.common.models import Bundle, BundleError, Precision, Sample

GRAPH, FACTS = "model.int8.onnx", "int8.json"
# Runs of each graph when the faster one is looked for: the quickest of them counts, for others use the processor too.
_TIMED_RUNS = 7


class Twin(BaseModel):
    """``made_from`` is the sha256 of the ``model.onnx`` it was made from: beside another one it is not used.

    ``outputs`` are its answer to the picture of ``golden.json``; ``tolerances`` are absolute, by output, and leave room for
    machines that round otherwise. ``metrics`` compare it with the float32 graph on held-out data. Its ``embedding_space`` is
    the manifest's where neighbours are the same in both.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    made_from: str
    outputs: dict[str, Sample]
    tolerances: dict[str, float]
    metrics: dict[str, float]
    embedding_space: str | None = None
    command: str
    created: str = Field(description="UTC time, ISO 8601")


def load(path: Path, precision: Precision | Literal["auto"]) -> Bundle:
    """The bundle in ``path`` with the graph of this precision.

    ``auto`` takes the twin where there is one, its golden answer holds, its embedding space is the bundle's, and it is faster
    on this machine. Raises :class:`BundleError` as :func:`models.load` does, and for ``int8`` without a twin that holds.
    """
    bundle = models.load(path)
    if precision == "float32" or (precision == "auto" and not (path / FACTS).is_file()):
        return bundle
    try:
        twin = _open(bundle)
    except BundleError as error:
        if precision == "int8":
            raise
        logging.getLogger("maquette").warning("the int8 twin is not used", extra={"reason": str(error)})
        return bundle
    if precision == "int8":
        return twin
    if twin.manifest.embedding_space != bundle.manifest.embedding_space:
        return bundle  # which space vectors live in must not depend on the machine
    milliseconds = _time((bundle, twin))
    faster = min((bundle, twin), key=lambda one: milliseconds[one.precision])
    return replace(faster, milliseconds=milliseconds)


def _open(bundle: Bundle) -> Bundle:
    path, graph = bundle.path / FACTS, bundle.path / GRAPH
    try:
        facts = Twin.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        raise BundleError(f"{path}: {error}") from error
    if facts.made_from != bundle.manifest.files[models.GRAPH]:
        raise BundleError(f"{path}: was made from another {models.GRAPH}; make it again with training.common.quantise")
    if not graph.is_file():
        raise BundleError(f"{graph}: missing")
    models.require_digest(graph, facts.sha256)
    session = models.open_session(graph, threads=1)
    if missing := set(bundle.outputs) - {output.name for output in session.get_outputs()}:
        raise BundleError(f"{graph}: has no output {', '.join(sorted(missing))}")
    manifest = bundle.manifest.model_copy(update={"embedding_space": facts.embedding_space})
    twin = replace(bundle, manifest=manifest, session=session, precision="int8")
    twin.check(facts.outputs, facts.tolerances, GRAPH)
    return twin


def _time(bundles: tuple[Bundle, ...]) -> dict[Precision, float]:
    """Milliseconds that one picture takes each graph: the least of several alternating runs."""
    wanted = bundles[0].manifest.input
    picture = np.zeros((1, wanted.height, wanted.width, 3), np.uint8)
    best: dict[Precision, float] = {}
    for _ in range(_TIMED_RUNS):
        for bundle in bundles:
            started = time.perf_counter()
            bundle.run(picture)
            took = (time.perf_counter() - started) * 1000
            best[bundle.precision] = min(took, best.get(bundle.precision, took))
    return best
