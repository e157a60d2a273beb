"""The worker's command loop: a thread reads messages, the main thread works, nothing outlives who started it.

Says hello before anything slow is imported. What can be answered at once (ping, memory, cancel) is answered by the
reading thread, also while a run is busy; everything that touches models waits for the main thread.
"""

from __future__ import annotations

import faulthandler
import functools
import os
import platform
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from dw_lsp.protocol import (
    PROTOCOL_VERSION,
    Activate,
    Cancel,
    ClearMemory,
    Evict,
    Execute,
    Hello,
    LogLine,
    MalformedMessage,
    MemoryReported,
    Message,
    Ping,
    Pong,
    Ready,
    ReportMemory,
    RequestFailed,
    Shutdown,
    StandingBy,
    StartFailed,
    TellStacks,
)
from dw_lsp.worker import standby
from dw_lsp.worker.background import Background
from dw_lsp.worker.cancellation import Cancellation
from dw_lsp.worker.channel import Channel
from dw_lsp.worker.orphans import end_with_parent, leave_interrupts_to_the_parent, watch_input
from dw_lsp.worker.printed import LogHandler, Printed, flush_native_output, take_over_standard_streams

if TYPE_CHECKING:
    from dw_lsp.worker.engine.engine import Engine

EXIT_CANNOT_START = 3
#: How long a shutdown waits for the running step to notice.
SHUTDOWN_SECONDS = 2.0


def leave(status: int) -> None:
    """End this process at once: neither busy native code nor the exit handlers of libraries are awaited."""
    flush_native_output()
    os._exit(status)


class Worker:
    """One worker process.

    Arguments: the channel to the supervisor; the descriptor that was its standard error; when the process began
    (`time.monotonic`).
    """

    def __init__(self, channel: Channel, errors: int, began: float):
        self._channel, self._errors, self._began = channel, errors, began
        self._work: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._runs: dict[str, Cancellation] = {}
        self._running: str | None = None
        self._engine: Engine | None = None
        self._printed: Printed | None = None
        self._activated = threading.Event()
        self._importing = Background(self._import)
        self._at_once: dict[type, Callable[[Message], None]] = {
            Activate: self._activate,
            Execute: self._queue_run,
            Cancel: self._cancel,
            Ping: self._answer_ping,
            ReportMemory: self._answer_memory,
            ClearMemory: self._queue_clear,
            Evict: self._queue_evict,
            TellStacks: lambda _: faulthandler.dump_traceback(self._errors),
            Shutdown: self._shut_down,
        }

    def log(self, level: str, message: str) -> None:
        """Send one line of log, with the run it belongs to."""
        self._channel.send(LogLine(level, message, self._running))

    def start_reading(self, printed: Printed) -> None:
        """Answer messages from now on; work is queued until `serve`."""
        self._printed = printed
        threading.Thread(target=self._read, name="messages", daemon=True).start()

    def get_ready(self, standing_by: bool) -> bool:
        """Import the libraries, and report. Returns whether this process can work.

        Arguments: `standing_by`: import in the background, and wait to be activated, with no device until then.
        """
        try:
            if standing_by:
                standby.start_its_threads()
            versions = self._importing.do() if standing_by else self._import()
        except standby.CannotStart as error:
            self._channel.send(StartFailed(error.message, error.hint))
            return False
        if standing_by:
            self._channel.send(StandingBy())
            self._activated.wait()
            self._began = time.monotonic()
        from dw_lsp.worker.engine.engine import Engine

        engine = Engine(versions)
        self._engine = engine
        seconds = time.monotonic() - self._began
        self._channel.send(Ready(versions, engine.device.type, engine.device_name, seconds))
        return True

    def _import(self) -> dict[str, str]:
        versions = standby.import_libraries(self.log)
        import dw_lsp.worker.engine.engine  # noqa: F401
        from dw_lsp.worker.engine.temporary_folders import sweep

        sweep()
        standby.settle_garbage()
        return versions

    def serve(self) -> None:
        """Do the queued work, one piece after another, until the worker is told to leave."""
        while (work := self._work.get()) is not None:
            work()

    # ------------------------------------------------------------ on the reading thread

    def _read(self) -> None:
        while True:
            try:
                message = self._channel.receive()
            except MalformedMessage as error:
                self.log("error", f"a message could not be understood: {error}")
                continue
            except ConnectionError as error:
                self.log("error", str(error))
                message = None
            if message is None:
                leave(0)
            handle = self._at_once.get(type(message))
            if handle is None or message is None:
                self.log("error", f"a {type(message).__name__} is not for a worker")
            else:
                handle(message)

    def _activate(self, message: Message) -> None:
        self._importing.hurry()
        self._activated.set()

    def _queue_run(self, message: Message) -> None:
        assert isinstance(message, Execute)
        self._runs[message.run_id] = Cancellation(message.run_id)
        self._work.put(functools.partial(self._execute, message))

    def _cancel(self, message: Message) -> None:
        assert isinstance(message, Cancel)
        cancellation = self._runs.get(message.run_id)
        if cancellation is not None:
            cancellation.cancel()

    def _answer_ping(self, message: Message) -> None:
        assert isinstance(message, Ping)
        count = self._engine.run_count if self._engine else 0
        self._channel.send(Pong(message.request_id, os.getpid(), count, time.monotonic() - self._began))

    def _answer_memory(self, message: Message) -> None:
        assert isinstance(message, ReportMemory)
        if self._engine is None:
            self._work.put(functools.partial(self._report_memory, message.request_id))
        else:
            self._report_memory(message.request_id)

    def _queue_clear(self, message: Message) -> None:
        assert isinstance(message, ClearMemory)
        self._work.put(functools.partial(self._clear, message.request_id))

    def _queue_evict(self, message: Message) -> None:
        assert isinstance(message, Evict)
        self._work.put(functools.partial(self._evict, message))

    def _shut_down(self, message: Message) -> None:
        for cancellation in list(self._runs.values()):
            cancellation.cancel()
        self._work.put(None)
        time.sleep(SHUTDOWN_SECONDS)
        leave(0)

    # ------------------------------------------------------------ on the main thread

    def _ready_engine(self) -> Engine:
        if self._engine is None:
            raise RuntimeError("work was begun before the libraries were imported")
        return self._engine

    def _execute(self, request: Execute) -> None:
        cancellation = self._runs[request.run_id]
        self._running = request.run_id
        try:
            ended = self._ready_engine().execute(request, cancellation, self._channel.send)
            if self._printed is not None:
                self._printed.settle()
        finally:
            self._running = None
            del self._runs[request.run_id]
        self._channel.send(ended)

    def _report_memory(self, request_id: int) -> None:
        self._channel.send(MemoryReported(self._ready_engine().memory_report(), request_id))

    def _clear(self, request_id: int) -> None:
        self._ready_engine().clear()
        self._report_memory(request_id)

    def _evict(self, request: Evict) -> None:
        if self._ready_engine().evict(request.component):
            self._report_memory(request.request_id)
        else:
            self._channel.send(RequestFailed(request.request_id, f"no component {request.component!r} is loaded"))


def main(standing_by: bool = False) -> int:
    """Run a worker over this process's stdin and stdout until it is told to leave. Returns the exit status.

    Arguments: `standing_by`: import, and wait to be activated.
    """
    began, parent = time.monotonic(), os.getppid()
    transport, printed, complained = take_over_standard_streams()
    faulthandler.enable(transport.errors)
    if hasattr(signal, "SIGUSR1"):
        faulthandler.register(signal.SIGUSR1, transport.errors)
    leave_interrupts_to_the_parent()
    end_with_parent(parent)
    watch_input(transport.incoming, parent)
    channel = Channel(transport.incoming, transport.outgoing, functools.partial(leave, 0))
    channel.send(Hello(PROTOCOL_VERSION, os.getpid(), sys.executable, platform.python_version()))
    worker = Worker(channel, transport.errors, began)
    standby.send_logs_to(LogHandler(worker.log))
    worker.start_reading(Printed(printed, complained, worker.log))
    try:
        if not worker.get_ready(standing_by):
            leave(EXIT_CANNOT_START)
        worker.serve()
    except BaseException:
        # Nobody reads the pipes of this process any more: the last words go to the stream that the parent keeps.
        os.write(transport.errors, traceback.format_exc().encode("utf-8", "backslashreplace"))
        leave(1)
    leave(0)
    return 0
