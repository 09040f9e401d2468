"""A circuit breaker: while somebody we depend on is down, nobody has to wait for them."""

from collections.abc import Callable

_FAILURES = 5
_REST_S = 30.0


class Breaker:
    """Opens after five failures in a row; then lets one call through every 30 seconds.

    Every call that ``may_pass`` has let through must be followed by one ``note``.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """Args: ``clock`` monotonic seconds."""
        self._clock = clock
        self._failures = 0
        self._next_probe_at = 0.0

    def may_pass(self) -> bool:
        if self._failures < _FAILURES:
            return True
        now = self._clock()
        if now < self._next_probe_at:
            return False
        self._next_probe_at = now + _REST_S
        return True

    def note(self, *, answered: bool) -> None:
        """Say how the call went."""
        if answered:
            self._failures = 0
            return
        self._failures += 1
        if self._failures == _FAILURES:
            self._next_probe_at = self._clock() + _REST_S
