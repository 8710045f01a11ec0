"""What Label Studio asks an ML backend, answered by the services: predictions for tasks, and masks from a person's clicks."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from maquette.client.client import Client
from maquette.client.errors import PASSING, MaquetteError, make
from maquette.client.guidance import AnyAdapter
from maquette.client.services import Service
from maquette.labelstudio import regions
from maquette.labelstudio.images import TaskImages
from maquette.labelstudio.regions import Page

_LOG = logging.getLogger("maquette.labelstudio")
# A fault of the settings or the services, not of one task: Label Studio is told that the request failed.
_OURS = (*PASSING, "UNAUTHENTICATED", "UNSUPPORTED", "INTERNAL", "ADAPTER_MISMATCH")


class Backend:
    """Masks for BrushLabels and types for Choices, by ``client``, of pictures that ``images`` reads.

    Its methods raise :class:`MaquetteError`.
    """

    def __init__(self, client: Client, images: TaskImages, adapter: AnyAdapter | None = None) -> None:
        self._client, self._images, self._adapter = client, images, adapter

    def version(self, label_config: str) -> str:
        """The versions of the models that the labelling page needs: what Label Studio keeps predictions apart by."""
        page = regions.page_of(label_config)
        needed = [Service.REMOVE_BACKGROUND] * bool(page.brush) + [Service.CLASSIFY] * bool(page.choices)
        if not needed:
            detail = "The labelling page has neither BrushLabels for masks nor Choices for types, of an Image."
            raise make("PARAMETER_INVALID", detail)
        return " ".join(f"{service} {self._client.model(service).version}" for service in needed)

    def prediction(
        self, task: Mapping[str, Any], label_config: str, context: Mapping[str, Any] | None
    ) -> dict[str, Any] | None:
        """The prediction of one task; a mask alone where there is a ``context``: a person's clicks.

        None for a task whose picture no service takes, which is logged; of an interactive request that is raised.
        """
        page = regions.page_of(label_config)
        try:
            return self._prediction(task, page, context)
        except MaquetteError as error:
            if context is not None or error.code in _OURS:
                raise
            _LOG.warning("task %s has no prediction: %s", task.get("id"), error)
            return None

    def _prediction(self, task: Mapping[str, Any], page: Page, context: Mapping[str, Any] | None) -> dict[str, Any]:
        data, found, versions, scores = task.get("data") or {}, [], [], []
        if page.brush:
            marked = regions.hints(context) if context is not None else None
            picture = self._images.read(data.get(page.brush.field))
            answer = self._client.remove_background(picture, frame="display", hints=marked, adapter=self._adapter)
            scores.append(1 - answer.report.uncertainty)
            found += regions.brush_region(page.brush, answer.mask, scores[-1])
            versions.append(f"{Service.REMOVE_BACKGROUND} {answer.model_version}")
        if page.choices and context is None:
            labels = self._client.model(Service.CLASSIFY).labels
            types = self._client.classify(self._images.read(data.get(page.choices.field)), top_k=len(labels))
            chosen = [] if types.abstained else regions.choice(page.choices, types.predictions)
            scores += [region["score"] for region in chosen]
            found += chosen
            versions.append(f"{Service.CLASSIFY} {types.model_version}")
        return {"result": found, "score": round(min(scores, default=0.0), 4), "model_version": " ".join(versions)}
