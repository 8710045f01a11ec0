"""``classify`` as a BentoML service, for `bentoml serve` and `bentoml build` (docs/decisions/0011-one-process.md)."""

from __future__ import annotations

import bentoml

from services.classify.app import APP, LIFECYCLE, NAME, RUNTIME
from services.common.bento import configuration


@bentoml.service(**configuration(NAME, RUNTIME.settings))
@bentoml.asgi_app(APP)
class Classify:
    """Which type of sculpture does a photograph show?"""

    @bentoml.on_startup
    async def start(self) -> None:
        await LIFECYCLE.start()

    @bentoml.on_shutdown
    async def stop(self) -> None:
        await LIFECYCLE.stop()

    async def __is_ready__(self) -> bool:
        return RUNTIME.ready
