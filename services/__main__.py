"""Run services in the foreground, one process each: ``python -m services [NAME ...]``; all four without names.

Each is :mod:`services.pod`, as in a cluster. Ctrl-C or SIGTERM drains all of them.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

import httpx

from services.common import settings

_READY_WITHIN = 120.0
# Seconds beyond the drain for a service to end.
_SLACK = 10.0


def main() -> int:
    """Exit status: 0 after a drain that was asked for, 1 when a service failed, 2 for wrong settings or a taken port."""
    parser = argparse.ArgumentParser(prog="python -m services", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", choices=[[], *settings.SERVICES], metavar="NAME", help=", ".join(settings.SERVICES))
    names = parser.parse_args().names or list(settings.SERVICES)
    chosen = settings.load_or_exit()
    if len(names) > 1 and (chosen.http_port or chosen.grpc_port):
        parser.error("MAQUETTE_HTTP_PORT and MAQUETTE_GRPC_PORT are for one service; name it")
    for name in names:
        for transport, port in chosen.ports(name)._asdict().items():
            if _taken(chosen.host, port):
                # A service on another's port would answer its callers.
                variable = f"{settings.PREFIX}{transport.upper()}_PORT"
                print(f"maquette: port {port} for {name} is taken; end what listens there or set {variable}", file=sys.stderr)
                return 2
    stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    running = {name: _start(name, chosen) for name in names}
    waiting = dict.fromkeys(names, time.monotonic() + _READY_WITHIN)
    failed = ""
    while not stopping and not failed:
        for name, deadline in list(waiting.items()):
            if _ready(name, chosen):
                del waiting[name]
                _announce(name, chosen)
            elif time.monotonic() > deadline:
                failed = f"{name} did not become ready within {_READY_WITHIN:.0f} s; its log says why"
        for name, process in running.items():
            if process.poll() is not None:
                failed = f"{name} ended with status {process.returncode}; its log says why"
        time.sleep(0.2)
    killed = _stop(running, chosen.drain_seconds)
    if killed:
        failed = f"{', '.join(killed)} did not end within {chosen.drain_seconds + _SLACK:g} s and had to be killed"
    if failed:
        print(f"maquette: {failed}", file=sys.stderr)
    return int(bool(failed))


def _start(name: str, chosen: settings.Settings) -> subprocess.Popen[bytes]:
    environment = {
        "MAQUETTE_LOG_FORMAT": "console",
        # Left alone, glibc keeps what large photographs leave behind.
        "MALLOC_MMAP_THRESHOLD_": str(2**20),
        **os.environ,
        # The service runs in the folder of its code; a relative path is the caller's.
        **{f"{settings.PREFIX}{name.upper()}": str(value.absolute()) for name, value in chosen if isinstance(value, Path)},
    }
    command = [sys.executable, "-m", "services.pod", name]
    # A session of its own: Ctrl-C reaches this process alone, which then stops the services in order.
    return subprocess.Popen(command, cwd=settings.ROOT, env=environment, start_new_session=True)


def _taken(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


def _ready(name: str, chosen: settings.Settings) -> bool:
    scheme = "https" if chosen.tls_certificate else "http"
    url = f"{scheme}://{_reachable(chosen.host)}:{chosen.ports(name).http}/readyz"
    try:
        # Only a question to the process just started here; its certificate is for the callers' names, not for this one.
        return httpx.get(url, verify=False, timeout=1).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _announce(name: str, chosen: settings.Settings) -> None:
    scheme, host, ports = "https" if chosen.tls_certificate else "http", _reachable(chosen.host), chosen.ports(name)
    print(f"{name:18} {scheme}://{host}:{ports.http}   grpc {host}:{ports.grpc}", flush=True)


def _reachable(host: str) -> str:
    return settings.url_host({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host))


def _stop(running: dict[str, subprocess.Popen[bytes]], drain_seconds: float) -> list[str]:
    """End all of them; the names of those that had to be killed."""
    killed = []
    for process in running.values():
        process.terminate()
    deadline = time.monotonic() + drain_seconds + _SLACK
    for name, process in running.items():
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            killed.append(name)
    return killed


if __name__ == "__main__":
    raise SystemExit(main())
