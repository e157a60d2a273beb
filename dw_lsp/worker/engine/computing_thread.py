"""Which thread computes: the one that is asked, until memory has run out on it.

The processor's library (oneDNN) makes code for each new kind of computation. If it had no memory for that once, it
fails on the same thread ever after, however much there is by then; on a new thread it works.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


class ComputingThread:
    """Runs what computes. Only one thread at a time uses it."""

    def __init__(self) -> None:
        self._spoilt: set[int] = set()

    @property
    def is_spoilt(self) -> bool:
        """Whether memory has run out on the thread that asks."""
        return threading.get_ident() in self._spoilt

    def spoil(self) -> None:
        """Memory has run out on the thread that asks: it computes no more."""
        self._spoilt.add(threading.get_ident())

    def call(self, work: Callable[[], Answer]) -> Answer:
        """Do a piece of work here or, where memory has run out once, on a new thread. Raises what the work raises."""
        if not self.is_spoilt:
            return work()
        answers: list[Answer] = []
        errors: list[BaseException] = []
        thread = threading.Thread(target=lambda: self._work(work, answers, errors), name="computing")
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return answers[0]

    def _work(self, work: Callable[[], Answer], answers: list[Answer], errors: list[BaseException]) -> None:
        try:
            answers.append(work())
        except BaseException as error:
            errors.append(error)
        finally:
            # The number of a thread that has ended is given to another one.
            self._spoilt.discard(threading.get_ident())
