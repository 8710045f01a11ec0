"""Pages of a list, as AIP-158 has them: ``page_size`` and ``page_token`` in, ``next_page_token`` out."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

from services.common import errors

Item = TypeVar("Item")


class Page(BaseModel):
    """Which part of a list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    page_size: int = Field(0, ge=0, le=2**31 - 1, description="how many to answer at most; 0: all")
    page_token: str = Field("", max_length=256, description="next_page_token of the page before; empty: the first page")


def cut(items: Sequence[Item], page: Page, version: str) -> tuple[Sequence[Item], str]:
    """The page and the token of the next one, empty at the end. A token holds for the model ``version`` that gave it.

    Raises ``ParameterInvalid`` for a token that this model did not give.
    """
    start = _start(page.page_token, version, len(items))
    stop = start + page.page_size if page.page_size else len(items)
    return items[start:stop], _token(stop, version) if stop < len(items) else ""


def _token(start: int, version: str) -> str:
    return base64.urlsafe_b64encode(f"{version}/{start}".encode()).decode()


def _start(token: str, version: str, count: int) -> int:
    if not token:
        return 0
    try:
        known, _, start = base64.b64decode(token, altchars=b"-_", validate=True).decode().rpartition("/")
        if known == version and start.isascii() and start.isdecimal() and 0 < int(start) < count:
            return int(start)
    except (binascii.Error, ValueError):
        pass
    raise errors.ParameterInvalid("Parameter `page_token` is none of this model; ask for the first page again.")
