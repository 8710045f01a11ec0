"""``cluster_assign`` as a BentoML service, for `bentoml serve` and `bentoml build` (docs/decisions/0011-one-process.md)."""

from __future__ import annotations

import bentoml

from services.cluster_assign.app import APP, LIFECYCLE, NAME, RUNTIME
from services.common.bento import configuration


@bentoml.service(**configuration(NAME, RUNTIME.settings))
@bentoml.asgi_app(APP)
class ClusterAssign:
    """Which visual group of paintings does a photograph fall in, and how sure is it?"""

    @bentoml.on_startup
    async def start(self) -> None:
        await LIFECYCLE.start()

    @bentoml.on_shutdown
    async def stop(self) -> None:
        await LIFECYCLE.stop()

    async def __is_ready__(self) -> bool:
        return RUNTIME.ready
