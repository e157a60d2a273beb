"""The flag that a running step asks again and again: has somebody said stop?"""

from __future__ import annotations

import threading


class RunCancelled(BaseException):
    """The run was cancelled. Not an `Exception`, so that no library takes it for an error of its own and goes on."""


class Cancellation:
    """One run's flag. Any thread may set it; the working thread asks."""

    def __init__(self, run_id: str):
        self.run_id = run_id
        self._asked = threading.Event()

    def cancel(self) -> None:
        """Ask the run to stop at the next possible place."""
        self._asked.set()

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    def check(self) -> None:
        """Raise `RunCancelled` if the run was asked to stop."""
        if self._asked.is_set():
            raise RunCancelled(self.run_id)
