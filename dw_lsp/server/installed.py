"""Keeps what documents are judged by in step with what is installed in the worker's Python."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from dw_lsp.catalog.catalog import Catalog, catalog_for, forget_catalogs
from dw_lsp.server.documents import Documents
from dw_lsp.settings import Settings, WorkerSettings

#: Seconds between two looks at the folders of packages; an installation is over when two of them see the same.
INTERVAL = 3.0
#: Seconds for which a command waits for an interpreter that is being asked for its packages.
PATIENCE = 2.0


class Installed:
    """Looks after the catalogue.

    Arguments: the documents, whose settings name the interpreter; `changed` is called when they are to be judged anew.
    """

    def __init__(self, documents: Documents, changed: Callable[[], None]):
        self._documents, self._changed = documents, changed
        self._wanted = documents.settings
        self._is_asked: WorkerSettings | None = None  # Names the interpreter that is to be judged by next.
        self._seen: tuple[int, ...] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._asking: set[asyncio.Task[bool]] = set()

    def use(self, settings: Settings) -> None:
        """Judge by other settings. Another interpreter is asked first: until it has answered, the former one counts."""
        self._wanted, before = settings, self._documents.settings.worker
        wanted = _interpreter(settings.worker)
        if wanted == _interpreter(before):
            self._documents.settings = settings
        else:
            self._documents.settings = replace(settings, worker=replace(before, prewarm=settings.worker.prewarm))
            if wanted != self._is_asked:
                self._begin(self._exchange(settings.worker))
        self._changed()

    def watch(self) -> None:
        """Look from time to time whether something was installed, as long as documents are open."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._look)

    def look_anew(self) -> None:
        """Take nothing of what was known for granted."""
        self._begin(self._renew())

    def check(self, *, at_once: bool = False) -> None:
        """Look anew if something was installed. Arguments: `at_once`: also if it may not be over yet."""
        catalog = self._catalog()
        stamp = catalog.environment.stamp()
        if catalog.is_current():
            self._seen = None
        elif at_once or stamp == self._seen:
            self._seen = None
            self.look_anew()
        else:
            self._seen = stamp

    @property
    def is_asking(self) -> bool:
        """Whether an interpreter is being asked, so that what is known is that of another one, or out of date."""
        return bool(self._asking)

    async def known(self) -> None:
        """Wait for an interpreter that is being asked, within reason."""
        if self._asking:
            await asyncio.wait(tuple(self._asking), timeout=PATIENCE)

    def _look(self) -> None:
        self._timer = None
        if any(True for _ in self._documents):
            self.check()
            self.watch()

    def _begin(self, work: Coroutine[Any, Any, bool]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._asking.add(task)
        task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[bool]) -> None:
        # Only now: whoever is told judges at once, and must not find that the answer is still waited for.
        self._asking.discard(task)
        if not task.cancelled() and task.result():
            self._changed()

    async def _exchange(self, worker: WorkerSettings) -> bool:
        """Ask another interpreter. Returns whether its answer is what counts now."""
        interpreter = self._is_asked = _interpreter(worker)
        await asyncio.to_thread(_read, worker)
        if interpreter != _interpreter(self._wanted.worker):
            return False
        self._is_asked = None
        self._documents.settings = self._wanted
        return True

    async def _renew(self) -> bool:
        worker = self._documents.settings.worker
        forget_catalogs()
        await asyncio.to_thread(_read, worker)
        return True

    def _catalog(self) -> Catalog:
        return catalog_for(self._documents.settings.worker)


def _interpreter(worker: WorkerSettings) -> WorkerSettings:
    """What of the settings names the interpreter, and what it finds."""
    return replace(worker, prewarm="onRun")


def _read(worker: WorkerSettings) -> None:
    """Ask the interpreter, and read the list of classes, so that the next key stroke need not wait for either."""
    catalog_for(worker).resolve("DiffusionPipeline")
