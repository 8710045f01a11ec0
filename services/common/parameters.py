"""Parameters of either transport, judged by the model that describes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from services.common import errors

B = TypeVar("B", bound=BaseModel)


def parse(kind: type[B], values: Mapping[str, Any]) -> B:
    """Values from either transport -> ``kind``. Raises ``ParameterInvalid`` naming the first wrong one."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"]) or "parameters"
        if first["type"] == "extra_forbidden":
            known = ", ".join(field.alias or name for name, field in kind.model_fields.items()) or "none"
            raise errors.ParameterInvalid(f"There is no parameter `{name}`; known are: {known}.") from None
        message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
        raise errors.ParameterInvalid(f"Parameter `{name}` {message}.") from None
