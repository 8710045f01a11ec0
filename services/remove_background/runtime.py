"""``remove_background`` asks its model more than once, and another graph where a person has marked or taught something."""

from __future__ import annotations

from typing import Any

from services.common.images import RGB, Decoded
from services.common.models import Tensors
from services.common.runtime import Runtime
from services.remove_background.predictor import SECOND, Lesson, Output, Parameters, Predictor


class RemovalRuntime(Runtime[Parameters, Any, Predictor]):
    """Looks twice where an object fills a small part of a large photograph."""

    def bytes_per_pixel(self, parameters: Parameters) -> int:
        # A mask is stretched, turned and coded; beside a cut-out there are the pixels, with the mask and without. Measured.
        if isinstance(parameters, Lesson) or parameters.hints:
            return 11
        return 4 if parameters.output is Output.MASK else 11

    async def ask(self, photograph: Decoded, prepared: RGB, parameters: Parameters) -> Tensors:
        if isinstance(parameters, Lesson):
            return {}  # the predictor looks at it in views of its own
        if parameters.guided:
            return await self.in_thread(self.predictor.guided_outputs, photograph, prepared, parameters)
        first = await super().ask(photograph, prepared, parameters)
        view = await self.in_thread(self.predictor.second_view, photograph, first, parameters)
        if view is None:
            return first
        second = await super().ask(photograph, view, parameters)
        return first | {SECOND: second["probability"]}
