"""What ``embed_latent`` holds beside its encoder: the decoder with its own batcher, and the mask model where there is one."""

from __future__ import annotations

import asyncio

from services.common import images, models
from services.common.batching import Batcher
from services.common.parameters import parse
from services.common.runtime import Runtime
from services.common.settings import Settings
from services.embed_latent.decoder import Drawing, Points
from services.embed_latent.predictor import Embedding, Masker, Parameters, Predictor


class EmbedRuntime(Runtime[Parameters, Embedding, Predictor]):
    """``settings.mask_model`` is the mask model's bundle, or None."""

    def __init__(self, service: str, settings: Settings) -> None:
        def predictor(bundle: models.Bundle) -> Predictor:
            return Predictor(bundle, Masker(models.load(settings.mask_model)) if settings.mask_model else None)

        super().__init__(service, settings, Parameters, predictor)
        self._drawer: Batcher | None = None

    async def start(self) -> None:
        await super().start()
        if self._predictor:
            # One lane: a picture costs a hundredth of an embedding, and must not take the cores from those.
            self._drawer = Batcher(self._predictor.decoder.run, lanes=1, max_batch=self.settings.max_batch)

    async def stop(self) -> None:
        await super().stop()
        if self._drawer:
            await self._drawer.stop()

    def prepare(self, photograph: images.Decoded, parameters: Parameters) -> tuple[images.Decoded, images.RGB]:
        return self.predictor.prepare(photograph, parameters)

    async def decode(self, values: dict[str, object]) -> Drawing:
        """:class:`Points` as either transport has them -> pictures, within a :meth:`place`. Raises any of the domain errors."""
        with self.counted() as items:
            decoder = self.predictor.decoder
            assert self._drawer is not None
            latents = decoder.points(parse(Points, values))
            items.count = len(latents)
            outputs = await asyncio.gather(*(self._drawer.submit(latent) for latent in latents))
            return await self.in_thread(decoder.drawing, [output["images"] for output in outputs])
