"""The photograph of a call: the one that was sent, or the one at an address, fetched before its caller has a place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from services.common import errors, telemetry
from services.common.fetching import FIELD
from services.common.runtime import Runtime


@asynccontextmanager
async def photograph_of(
    runtime: Runtime[Any, Any, Any], sent: bytes, address: str | None, parameters: Any, *, bulk: bool = False
) -> AsyncIterator[bytes]:
    """The encoded photograph, for the block; ``bulk``: of an item of a stream.

    Raises ``ParameterInvalid`` for both, and what :meth:`Fetcher.photograph` does.
    """
    if address is None:
        yield sent
        return
    if sent:
        raise errors.ParameterInvalid(f"Parameter `{FIELD}` should be left out where the photograph is sent itself.")
    runtime.require_room()
    runtime.predictor.check(parameters)
    # An answer as large as its photograph is of all that the source has.
    least = None if runtime.bytes_per_pixel(parameters) else runtime.shrink_to(parameters)
    try:
        data, lease = await runtime.fetcher.photograph(address, least, bulk=bulk)
    except errors.MaquetteError as error:
        telemetry.ITEMS.labels(runtime.service, error.code).inc()
        raise
    with lease:
        yield data
