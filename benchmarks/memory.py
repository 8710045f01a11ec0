"""A process's memory as the kernel tells it."""

from __future__ import annotations

from pathlib import Path


def mebibytes(field: str = "VmRSS", pid: int | str = "self") -> float:
    """Resident MiB now, or with ``VmHWM`` the most so far. Not ``ru_maxrss``, which remembers the process that started it."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(field))
