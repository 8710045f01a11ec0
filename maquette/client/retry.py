"""How long a service is asked again: the one retry policy, of single calls and of streams. gRPC's own retries are off."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import tenacity

from maquette.client.errors import MaquetteError, Overloaded, Unavailable

AWAY = (Unavailable, Overloaded)

_log = logging.getLogger("maquette.client")


class Budget:
    """The time that one question may take, all attempts together, from :meth:`restart` on.

    ``timeout`` is the longest wait for one answer and ``patience`` how long a service that is away, starting or full is asked
    again, both in seconds. However the attempts end, the question is over after the longer of the two. ``since`` tells the
    ``time.monotonic()`` before which there was no question: a caller may be slow to give the next image.
    """

    def __init__(self, timeout: float, patience: float, since: Callable[[], float] = lambda: 0.0) -> None:
        self._timeout, self._patience, self._since = timeout, patience, since
        self.restart()

    def restart(self) -> None:
        """An answer came: what is asked next has the whole time again."""
        self._start = time.monotonic()

    @property
    def _spent(self) -> float:
        return time.monotonic() - max(self._start, self._since())

    @property
    def attempt(self) -> float:
        """Seconds that an attempt which begins now may take; at least one, where the timeout is not shorter."""
        left = max(self._timeout, self._patience) - self._spent
        return min(self._timeout, max(left, 1.0))

    def retrying(self, *kinds: type[MaquetteError]) -> tenacity.Retrying:
        """Attempts about 0.5, 1, 2, 4, 8, 10, 10 ... s apart while the error is of these kinds and patience lasts."""
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(kinds),
            stop=lambda state: self._spent + state.upcoming_sleep > self._patience,
            wait=tenacity.wait_exponential(multiplier=0.5, max=10) + tenacity.wait_random(0, 0.5),
            before_sleep=self._say,
            reraise=True,
        )

    def _say(self, state: tenacity.RetryCallState) -> None:
        if state.attempt_number == 1 and state.outcome is not None:
            error = state.outcome.exception()
            detail = error.detail if isinstance(error, MaquetteError) else str(error)
            _log.info("%s Asking again for up to %g s.", detail, self._patience)
