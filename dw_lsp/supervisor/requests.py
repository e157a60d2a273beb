"""Questions to the worker that wait for their answers: each gets one answer, an error, or a time limit."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

from dw_lsp.protocol import MemoryReport, MemoryReported, Pong, RequestFailed, ToWorker
from dw_lsp.supervisor.failures import NoAnswer, RequestRefused, WorkerFailure

Answer = Pong | MemoryReported


def report_in(answer: Answer) -> MemoryReport:
    """The report that was asked for. Raises `NoAnswer` for the answer to another question."""
    if not isinstance(answer, MemoryReported):
        raise NoAnswer("The worker answered another question than it was asked.")
    return answer.report


class Requests:
    """The questions that are open. Everything happens on one event loop."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._open: dict[int, asyncio.Future[Answer]] = {}

    def number(self) -> int:
        """A number that no other question has."""
        return next(self._numbers)

    async def ask(self, send: Callable[[ToWorker], None], make: Callable[[int], ToWorker], seconds: float) -> Answer:
        """Send a question and wait for its answer.

        Arguments: what sends; what makes the question of its number; how long to wait at most.
        Raises `NoAnswer`, `RequestRefused`, or the failure that all open questions were given up with.
        """
        number = self.number()
        future = self._open[number] = asyncio.get_running_loop().create_future()
        try:
            send(make(number))
            return await asyncio.wait_for(future, seconds)
        except asyncio.TimeoutError:
            raise NoAnswer(
                f"The worker did not answer within {seconds:g} s. It may be busy in native code; "
                "if it stays so, restart it (dw.restart)."
            ) from None
        finally:
            del self._open[number]

    def answer(self, message: Pong | MemoryReported | RequestFailed) -> bool:
        """Hand an answer to who waits for it. Returns whether anybody did."""
        future = self._open.get(message.request_id) if message.request_id is not None else None
        if future is None or future.done():
            return False
        if isinstance(message, RequestFailed):
            future.set_exception(RequestRefused(f"The worker refused: {message.message}."))
        else:
            future.set_result(message)
        return True

    def give_up(self, failure: WorkerFailure) -> None:
        """Nobody will answer any more."""
        for future in self._open.values():
            if not future.done():
                future.set_exception(failure)
