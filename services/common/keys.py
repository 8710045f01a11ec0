"""The API keys of one process: one from the environment, others by name in a file that may change while the process runs."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import time
import tomllib
from pathlib import Path

SHORTEST = 16
# The name in the log of the caller who has the key of MAQUETTE_API_KEY.
DEFAULT = "default"
# The file is looked at this often: a new key is good, and an old one gone, after so many seconds.
EVERY = 1.0
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LOG = logging.getLogger("maquette")


class Keys:
    """Raises ``ValueError`` for a file that is wrong at the start; one that goes wrong later is logged, and the keys stay."""

    def __init__(self, single: str | None, path: Path | None) -> None:
        self._single, self._path = {DEFAULT: _digest(single)} if single else {}, path
        self._state, self._looked = self._stat(), time.monotonic()
        self._keys = self._single | self._read()

    @property
    def wanted(self) -> bool:
        """Whether callers must send a key at all."""
        return bool(self._keys) or self._path is not None

    def name_of(self, key: str) -> str | None:
        """Whose key it is; None where it is nobody's. Every key is compared, each in constant time."""
        self._look()
        sent, found = _digest(key), None
        for name, digest in self._keys.items():
            if hmac.compare_digest(sent, digest):
                found = name
        return found

    def _look(self) -> None:
        """Read the file again where it is another. Kubernetes swaps a link, so what it leads to is looked at."""
        if self._path is None or time.monotonic() - self._looked < EVERY:
            return
        self._looked, state = time.monotonic(), self._stat()
        if state == self._state:
            return
        self._state = state
        try:
            self._keys = self._single | self._read()
        except ValueError as error:
            _LOG.error("the file of keys is wrong; those read before stay", extra={"reason": str(error)})
        else:
            _LOG.info("keys read again", extra={"callers": sorted(self._keys)})

    def _stat(self) -> tuple[int, int, int] | None:
        try:
            found = os.stat(self._path) if self._path else None  # noqa: PTH116
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_ino, found.st_size) if found else None

    def _read(self) -> dict[str, bytes]:
        if self._path is None:
            return {}
        try:
            content = tomllib.loads(self._path.read_text(encoding="utf-8"))
        except OSError:
            raise ValueError("MAQUETTE_API_KEYS_FILE: cannot be read") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            # What it says may quote a key.
            raise ValueError('MAQUETTE_API_KEYS_FILE: is no TOML; write `name = "key"` a line') from None
        for name, key in content.items():
            if not _NAME.fullmatch(name) or name == DEFAULT:
                raise ValueError(
                    f"MAQUETTE_API_KEYS_FILE: `{name[:64]}` is no name; take letters, digits and ._-, not `{DEFAULT}`"
                )
            if not isinstance(key, str) or len(key) < SHORTEST:
                raise ValueError(
                    f"MAQUETTE_API_KEYS_FILE: the key of `{name}` should be text of at least {SHORTEST} characters"
                )
        if not content and not self._single:
            raise ValueError("MAQUETTE_API_KEYS_FILE: has no key; leave the variable out to serve without one")
        digests = {name: _digest(key) for name, key in content.items()}
        if len({*digests.values(), *self._single.values()}) < len(digests) + len(self._single):
            raise ValueError("MAQUETTE_API_KEYS_FILE: two names have one key; give each its own")
        return digests


def _digest(key: str) -> bytes:
    """All of one length, so that comparing says nothing of it."""
    return hashlib.sha256(key.encode()).digest()
