"""Adapters: what was learnt from a few masks, as plain numbers in a message; read, judged, made and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from google.protobuf import json_format
from pydantic import BeforeValidator, WithJsonSchema

from protos.maquette.remove_background.v1 import remove_background_pb2 as pb
from services.common import errors
from services.common.models import GRAPH, Manifest
from services.remove_background.correction import Floats, View, dice, fit

VERSION = 1
MOST_EXAMPLES = 32
MOST_BYTES = 64 * 1024
# As JSON, where a number is up to thrice its four bytes.
MOST_CHARACTERS = 3 * MOST_BYTES
# Larger numbers come from no fit, and would overflow.
_LARGEST = 1e6
_FOLDS = 8


@dataclass(frozen=True)
class Adapter:
    """``weights`` float32 [channels] and ``constant`` are added to the logits wherever the features answer to them."""

    weights: Floats
    constant: float
    model_version: str
    model_sha256: str

    @classmethod
    def read(cls, message: pb.Adapter) -> Adapter:
        """Raises ``ValueError`` for what no service has made."""
        weights = np.array(message.weights, np.float32)
        if message.ByteSize() > MOST_BYTES:
            raise ValueError(f"should have at most {MOST_BYTES // 1024} KiB")
        if message.version != VERSION:
            raise ValueError(f"is of version {message.version}, this service reads {VERSION}")
        numbers = np.append(weights, np.float32(message.constant))
        if not len(weights) or not (np.abs(numbers) <= _LARGEST).all():
            raise ValueError("is damaged: its weights are not all there, or are no numbers")
        return cls(weights, float(message.constant), message.model_version, message.model_sha256)

    def check(self, model: Manifest) -> None:
        """Raises ``AdapterMismatch`` where another model answers here."""
        if self.model_sha256 != model.files[GRAPH]:
            raise errors.AdapterMismatch(
                f"The adapter was learnt on model {self.model_version[:64]}, and {model.version} answers here; learn it anew."
            )


def _read(value: Any) -> Adapter | None:
    """A message, the JSON of one, or that JSON as a dictionary."""
    if value is None or isinstance(value, Adapter):
        return value
    if isinstance(value, str) and len(value) > MOST_CHARACTERS:
        raise ValueError(f"should have at most {MOST_CHARACTERS} characters")
    if not isinstance(value, pb.Adapter):
        try:
            parse = json_format.Parse if isinstance(value, str) else json_format.ParseDict
            value = parse(value, pb.Adapter(), max_recursion_depth=4)
        except (json_format.ParseError, TypeError, ValueError, AttributeError, RecursionError):
            raise ValueError("is damaged: it should be an adapter that `adapt` answered") from None
    return Adapter.read(value)


AdapterParameter = Annotated[
    Any,
    BeforeValidator(_read),
    WithJsonSchema({"type": "object", "title": "Adapter", "description": "the message Adapter as JSON"}),
]


def learn(examples: Sequence[tuple[View, ...]], model: Manifest) -> pb.Adapter:
    """An adapter from the views of each example, the whole photograph's first, without saying what the examples are."""
    weights, constant = fit([view for views in examples for view in views])
    adapter = pb.Adapter(
        version=VERSION,
        model_version=model.version,
        model_sha256=model.files[GRAPH],
        weights=weights.tolist(),
        constant=constant,
    )
    if len(examples) > 1:
        adapter.dice_before = float(np.mean([dice(views[0], np.zeros_like(weights), 0.0) for views in examples]))
        adapter.dice_after = float(np.mean(_left_out(examples)))
    return adapter


def _left_out(examples: Sequence[tuple[View, ...]]) -> list[float]:
    """Dice of each example with what is learnt from those of the other folds, one example a fold where there are few."""
    found = []
    folds = min(len(examples), _FOLDS)
    for fold in range(folds):
        others = [view for index, views in enumerate(examples) if index % folds != fold for view in views]
        learnt = fit(others)
        found += [dice(views[0], *learnt) for views in examples[fold::folds]]
    return found
