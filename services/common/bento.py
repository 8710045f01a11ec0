"""What BentoML is told about a service when it is the one that serves it."""

from __future__ import annotations

from typing import Any

from services.common.settings import Settings


def configuration(service: str, settings: Settings) -> dict[str, Any]:
    """BentoML's own settings: its limits and logs make way for the shared ones."""
    config: dict[str, Any] = {
        "name": service,
        "http": {"host": settings.host, "port": settings.ports(service).http},
        # Behind our own limits, which answer problem+json: the body's arrival, the wait for room, the answer.
        "traffic": {"timeout": 2 * settings.timeout_seconds + settings.wait_seconds + 5},
        "metrics": {"enabled": False},
        "logging": {"access": {"enabled": False}},
    }
    if settings.tls_certificate:
        config["ssl"] = {"enabled": True, "certfile": str(settings.tls_certificate), "keyfile": str(settings.tls_key)}
    return config
