"""Who may ask: the API key, the same for both transports."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from services.common import errors
from services.common.settings import Settings


def authorise(headers: Mapping[str, str], settings: Settings) -> None:
    """Raises ``Unauthenticated`` when a key is configured and ``x-api-key`` or ``authorization: Bearer`` is not it."""
    if settings.api_key is None:
        return
    sent = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
    if not hmac.compare_digest(sent.encode(), settings.api_key.get_secret_value().encode()):
        raise errors.Unauthenticated("Send the API key as x-api-key, or as authorization: Bearer.")
