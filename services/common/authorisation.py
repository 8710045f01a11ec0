"""Who may ask: API keys, the same for both transports."""

from __future__ import annotations

from collections.abc import Mapping

from services.common import errors, telemetry
from services.common.settings import Settings


def authorise(headers: Mapping[str, str], settings: Settings) -> None:
    """Notes by name who asks, for the log of the call that is being answered.

    Raises ``Unauthenticated`` when there are keys and ``x-api-key`` or ``authorization: Bearer`` is none of them.
    """
    if not settings.keys.wanted:
        return
    sent = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
    caller = settings.keys.name_of(sent)
    if caller is None:
        raise errors.Unauthenticated("Send the API key as x-api-key, or as authorization: Bearer.")
    telemetry.current().caller = caller
