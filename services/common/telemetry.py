"""Metrics, traces and logs, under the same names for both transports.

Metrics are Prometheus', labels come from closed sets. Each call leaves one log line and one span. Traces go where the
standard ``OTEL_*`` variables say, once an OpenTelemetry SDK is configured in the process; without one they cost nothing.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

# `bentoml serve` asks for files shared between processes. One process needs none, and then also reports memory and CPU.
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)

import prometheus_client as prometheus
from opentelemetry import propagate, trace
from pythonjsonlogger.json import JsonFormatter

from services.common.settings import Settings

LOG = logging.getLogger("maquette")
_TRACER = trace.get_tracer("maquette")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

CALLS = prometheus.Counter("maquette_calls", "Calls answered", ["service", "transport", "method", "code"])
SECONDS = prometheus.Histogram(
    "maquette_call_seconds", "Time to answer a call", ["service", "transport", "method"], buckets=_SECONDS
)
ITEMS = prometheus.Counter("maquette_items", "Photographs answered, in single calls and in streams", ["service", "code"])
QUEUE_SECONDS = prometheus.Histogram("maquette_queue_seconds", "Time from decoded to taken by the model", buckets=_SECONDS)
QUEUE_LENGTH = prometheus.Gauge("maquette_queue_length", "Photographs waiting for the model")
BATCH_SIZE = prometheus.Histogram("maquette_batch_size", "Photographs in one run of the model", buckets=(1, 2, 4, 8, 16, 32))
AT_WORK = prometheus.Gauge("maquette_at_work", "Calls and stream items at work or waiting, at most MAQUETTE_MAX_QUEUE")
RECEIVING = prometheus.Gauge("maquette_receiving", "Calls whose photograph is still on its way")
BYTES_RECEIVED = prometheus.Gauge("maquette_bytes_received", "Bytes of messages and answers held at once, both transports")
PIXELS_IN_FLIGHT = prometheus.Gauge("maquette_pixels_in_flight", "Decoded pixels let in, as they count against the limit")
READY = prometheus.Gauge("maquette_ready", "1 while the service answers")
MODEL = prometheus.Gauge("maquette_model", "1 for the version and precision served", ["service", "version", "precision"])

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:\-]{1,128}")


@dataclass
class Call:
    """One call in the making; the transport sets ``code`` when it fails."""

    method: str
    request_id: str
    code: str = "OK"
    # The name of the caller's key, where callers have one.
    caller: str | None = None


_CURRENT: ContextVar[Call] = ContextVar("call")


@dataclass(slots=True)
class Items:
    """How many photographs or points a piece of work is about; one until it knows better."""

    count: int = 1


def current() -> Call:
    """The call being answered in this context."""
    return _CURRENT.get()


def request_id(sent: str | None) -> str:
    """The caller's id where it is one (1 to 128 of letters, digits and ``._:-``), else a new one."""
    return sent if sent and _REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex


def page(headers: Mapping[str, str]) -> Call:
    """A question that is neither counted nor logged: a probe, a scrape, the API's page."""
    this = Call("page", request_id(headers.get("x-request-id")))
    _CURRENT.set(this)
    return this


@contextmanager
def call(service: str, transport: str, method: str, headers: Mapping[str, str]) -> Iterator[Call]:
    """Count, time, trace and log one call. ``headers`` have lower-case names."""
    this = Call(method, request_id(headers.get("x-request-id")))
    _CURRENT.set(this)
    started = time.perf_counter()
    with _TRACER.start_as_current_span(
        f"{service}/{method}", context=propagate.extract(headers), kind=trace.SpanKind.SERVER
    ) as span:
        try:
            yield this
        except BaseException:
            this.code = "CANCELLED" if this.code == "OK" else this.code
            raise
        finally:
            seconds = time.perf_counter() - started
            span.set_attributes({"maquette.code": this.code, "maquette.request_id": this.request_id})
            CALLS.labels(service, transport, method, this.code).inc()
            SECONDS.labels(service, transport, method).observe(seconds)
            LOG.info(
                "call",
                extra={
                    "service": service,
                    "transport": transport,
                    "method": method,
                    "code": this.code,
                    "seconds": round(seconds, 4),
                    "request_id": this.request_id,
                    **({"caller": this.caller} if this.caller else {}),
                },
            )


def failed() -> None:
    """Log the exception being handled, a bug, under the call's request id."""
    LOG.error("failed", extra={"request_id": current().request_id}, exc_info=True)


def exposition() -> tuple[bytes, str]:
    """The metrics of this process, and their media type."""
    return prometheus.generate_latest(), prometheus.CONTENT_TYPE_LATEST


def configure_logging(settings: Settings) -> None:
    """One handler on stderr for the ``maquette`` logger, as JSON lines or text."""
    handler = logging.StreamHandler(sys.stderr)
    fields = "%(asctime)s %(levelname)s %(message)s"
    formatter: logging.Formatter
    if settings.log_format == "json":
        formatter = JsonFormatter(fields, rename_fields={"asctime": "time", "levelname": "level", "message": "event"})
    else:
        formatter = _ConsoleFormatter(fields)
    handler.setFormatter(formatter)
    LOG.handlers[:] = [handler]
    LOG.setLevel(settings.log_level)
    LOG.propagate = False


class _ConsoleFormatter(logging.Formatter):
    _PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

    def format(self, record: logging.LogRecord) -> str:
        extra = " ".join(f"{key}={value}" for key, value in vars(record).items() if key not in self._PLAIN)
        return f"{super().format(record)} {extra}".rstrip()
