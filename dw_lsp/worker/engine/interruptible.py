"""Places to stop inside code that is not ours: while a library loads weights, and while it downloads files.

Loading is a long row of calls of torch, one or more for each tensor; downloading is a row of chunks, each told to a
progress bar. Both are looked at from outside, on the way, and raise from there: never at a place where a library does
not expect that a call may fail.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from torch.overrides import TorchFunctionMode

#: Bytes that are asked of a network at once: the hub's own 10 MB are too long a wait on a slow line.
CHUNK_BYTES = 1 << 20
#: How often it is asked whether a transfer by Xet, the hub's other protocol, should stop.
SECONDS_BETWEEN = 0.1


class LoadingWatch(TorchFunctionMode):
    """While it is entered, every call of torch on this thread is a place to stop, and a sign of life.

    Arguments: what is called each time; it raises when the run should stop. Libraries may swallow that, so it is called
    on; with `once` it is not, since what is half done is undone by calls of torch.
    """

    def __init__(self, goes_on: Callable[[], None], *, once: bool = False):
        super().__init__()
        self._goes_on, self._once, self._stopped = goes_on, once, False

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not self._stopped:
            try:
                self._goes_on()
            except BaseException:
                self._stopped = self._once
                raise
        return function(*args, **(kwargs or {}))


class _Bytes:
    """Sums what the hub's progress bars tell. Any of its threads may call."""

    def __init__(self, check: Callable[[], None], told: Callable[[int, int | None], None]):
        self._check, self._told = check, told
        self._lock = threading.Lock()
        self._done = 0
        self._bars: dict[int, Any] = {}

    def begins(self, bar: Any, kind: dict[str, Any]) -> None:
        # What comes over the line and what is written to the disk are the same bytes: they count once.
        if kind.get("unit") == "B" and not str(kind.get("name")).endswith(".transfer"):
            with self._lock:
                self._bars[id(bar)] = bar

    def advances(self, bar: Any, count: float | None) -> None:
        try:
            self._check()
        except BaseException:
            # Threads that are not Python's are Xet's, which print what is raised and go on: `_stop_xet` ends those.
            if isinstance(threading.current_thread(), threading._DummyThread):
                return
            raise
        with self._lock:
            if id(bar) not in self._bars:
                return
            self._done += int(count or 0)
            totals = [int(getattr(each, "total", None) or 0) for each in self._bars.values()]
            self._told(self._done, sum(totals) if all(totals) and sum(totals) >= self._done else None)


def _stop_xet(check: Callable[[], None], over: threading.Event) -> None:
    """End the transfers of Xet when the run should stop, until all is over: files that begin later as well.

    Not from its own threads: its session waits for them.
    """
    while not over.wait(SECONDS_BETWEEN):
        try:
            check()
        except BaseException:
            abort = getattr(sys.modules.get("huggingface_hub.utils._xet"), "abort_xet_session", None)
            if abort is not None:
                abort()


@contextlib.contextmanager
def watched_downloads(check: Callable[[], None], told: Callable[[int, int | None], None]) -> Iterator[None]:
    """While it is entered, each chunk that the hub's client fetches is a place to stop, and is told.

    Arguments: `check` raises when the run should stop; `told` gets the bytes so far and, where it is known, how many
    there will be; both are called on the threads of the client.
    """
    if importlib.util.find_spec("huggingface_hub") is None:
        yield
        return
    bar_class = importlib.import_module("huggingface_hub.utils").tqdm
    constants: Any = importlib.import_module("huggingface_hub.constants")
    sums = _Bytes(check, told)
    begin, update = bar_class.__init__, bar_class.update

    def watched_begin(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        sums.begins(self, kwargs)

    def watched_update(self: Any, n: float | None = 1) -> Any:
        sums.advances(self, n)
        return update(self, n)

    own_update = "update" in vars(bar_class)
    chunk = getattr(constants, "DOWNLOAD_CHUNK_SIZE", None)
    bar_class.__init__, bar_class.update = watched_begin, watched_update
    if chunk is not None:
        constants.DOWNLOAD_CHUNK_SIZE = min(chunk, CHUNK_BYTES)
    over = threading.Event()
    stopping = threading.Thread(target=_stop_xet, args=(check, over), name="downloads", daemon=True)
    stopping.start()
    try:
        yield
    except (Exception, KeyboardInterrupt):
        # What was stopped fails in ways of its own.
        check()
        raise
    finally:
        over.set()
        stopping.join()
        bar_class.__init__ = begin
        if own_update:
            bar_class.update = update
        else:
            del bar_class.update
        if chunk is not None:
            constants.DOWNLOAD_CHUNK_SIZE = chunk
