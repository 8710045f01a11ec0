"""The pictures of ``maquette classify --explain``, named as masks are, in a folder of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from maquette.client.errors import MaquetteError, ParameterInvalid, make
from maquette.client.streaming import Answer
from maquette.folders import atomic
from maquette.folders.photographs import Photograph
from maquette.masks import files
from maquette.masks.naming import OutputKind
from protos.maquette.classify.v1.classify_pb2 import ClassifyResponse


def places(found: Sequence[Photograph], folder: Path) -> list[Path | ParameterInvalid]:
    """The file of each photograph's explanation in ``folder``, or why it has none.

    Raises :class:`ParameterInvalid` where a mask or a person's file is in the place of one.
    """
    named = files.targets(found, folder, OutputKind.MASK, None)
    for target in named:
        if isinstance(target, Path):
            _check_free(target)
    return named


def _check_free(target: Path) -> None:
    try:
        there = files.origin(target)
    except OSError as error:
        raise atomic.unwritable(target, error) from error
    if there is None:
        detail = f"--explain: {target} is there and was not written by --explain; choose another folder."
        raise make("PARAMETER_INVALID", detail)
    if there:
        files.refuse_other_kind(target, there, files.EXPLANATION)


def written(
    named: Sequence[Path | ParameterInvalid], answers: Iterable[Answer[ClassifyResponse]]
) -> Iterator[Answer[ClassifyResponse]]:
    """Write the explanation in each answer to its place in ``named``, and hand the answers on.

    A photograph without a place, or whose picture cannot be written, gets that as its error.
    """
    for answer in answers:
        if answer.response is not None:
            facts = {"kind": files.EXPLANATION, "sha256": answer.sha256, "model_version": answer.response.model_version}
            try:
                target = named[answer.index]
                if isinstance(target, ParameterInvalid):
                    raise target
                files.write(target, answer.response.explanation, facts)
            except MaquetteError as error:
                answer = replace(answer, response=None, error=error)
        yield answer
