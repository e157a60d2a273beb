"""`dw-lsp repl`: a prompt beside a warm worker, to run one workflow again and again with other values.

The person types on the main thread; the supervisor lives on an event loop of its own, so Ctrl-C reaches a run at once.
"""

from __future__ import annotations

import argparse
import asyncio
import cmd
import contextlib
import functools
import importlib
import os
import shlex
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

from dw_lsp.cli.inputs import UnusableInput, read_arguments, read_document, read_settings, tell
from dw_lsp.cli.run import prepare
from dw_lsp.cli.terminal import make_view, size_words
from dw_lsp.protocol import MemoryReport
from dw_lsp.settings import Settings
from dw_lsp.supervisor.events import Event, RunFinished, WorkerState
from dw_lsp.supervisor.failures import WorkerFailure
from dw_lsp.supervisor.runs import RunRequest
from dw_lsp.supervisor.supervisor import Supervisor
from dw_lsp.text.syntax_tree import Object, Value, to_value

Result = TypeVar("Result")
HISTORY_LINES = 1000


def repl(options: argparse.Namespace) -> int:
    """Read and carry out commands until `exit` or the end of the input. Returns the exit code."""
    session = Session(read_settings())
    try:
        with _history(sys.stdin.isatty()):
            prompt = Prompt(session, sys.stdin.isatty())
            if options.file is not None:
                prompt.onecmd(f"load {shlex.quote(options.file)}")
            prompt.loop()
    finally:
        session.close()
    return 0


# ---------------------------------------------------------------- the worker's side


class Session:
    """A supervisor on an event loop of its own. Every method is called from another thread, and waits."""

    def __init__(self, settings: Settings):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="supervisor", daemon=True)
        self._thread.start()
        self._view = make_view(False, sys.stdout, sys.stderr)
        self._run: tuple[str | None, asyncio.Future[RunFinished]] | None = None
        self._supervisor = self._made(settings)
        self.settings = settings

    def _made(self, settings: Settings) -> Supervisor:
        async def make() -> Supervisor:
            return Supervisor(settings, self._hear)

        return self._wait(make())

    @property
    def state(self) -> WorkerState:
        """What the worker is doing."""
        return self._supervisor.state

    def prewarm(self) -> None:
        """Start a worker if there is none; do not wait for it."""
        self._loop.call_soon_threadsafe(self._supervisor.prewarm)

    def ask(self, question: Callable[[Supervisor], Awaitable[Result]]) -> Result:
        """What the supervisor answers. Raises `WorkerFailure`."""

        async def answer() -> Result:
            return await question(self._supervisor)

        return self._wait(answer())

    def run(self, request: RunRequest, path: Path) -> RunFinished:
        """Run a workflow and show how it goes. Ctrl-C cancels it; once more, without asking the worker."""
        future = asyncio.run_coroutine_threadsafe(self._finished(request, path), self._loop)
        force = False
        while True:
            try:
                return future.result()
            except KeyboardInterrupt:
                if not force:
                    print("cancelling; Ctrl-C once more does not wait", file=sys.stderr, flush=True)
                self._loop.call_soon_threadsafe(functools.partial(self._supervisor.cancel, force=force))
                force = True

    def close(self) -> None:
        """End the worker and the loop."""
        self._wait(self._supervisor.close())
        self._view.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _finished(self, request: RunRequest, path: Path) -> RunFinished:
        self._view.begin(request.text, path)
        finished: asyncio.Future[RunFinished] = asyncio.get_running_loop().create_future()
        self._run = (None, finished)
        self._run = (self._supervisor.submit(request).run_id, finished)
        try:
            return await finished
        finally:
            self._run = None
            self._view.close()

    def _hear(self, event: Event) -> None:
        if self._run is None:
            if isinstance(event, WorkerState) and event.state == "crashed" and event.exit is not None:
                tell(event.exit.reason)
            return
        self._view.show(event)
        run_id, finished = self._run
        if isinstance(event, RunFinished) and run_id in (None, event.run_id) and not finished.done():
            finished.set_result(event)

    def _wait(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


# ---------------------------------------------------------------- the person's side


class Prompt(cmd.Cmd):
    """The commands. The first line of each one's docstring is its help."""

    intro = "dw-lsp: `help` tells the commands, Tab completes, Ctrl-C cancels a run, Ctrl-D leaves."
    doc_header = "Commands (`help COMMAND` tells more)"

    def __init__(self, session: Session, interactive: bool):
        super().__init__()
        self._session = session
        self._file: Path | None = None
        self._arguments: dict[str, Value] = {}
        self.use_rawinput = interactive
        self.prompt = "dw> " if interactive else ""
        if not interactive:
            self.intro = ""

    def loop(self) -> None:
        """Read commands until the end. Ctrl-C at the prompt drops the line that is being typed."""
        while True:
            try:
                self.cmdloop()
                return
            except KeyboardInterrupt:
                print()
                self.intro = ""

    def onecmd(self, line: str) -> bool:
        """Carry out one line; what goes wrong is told, and the prompt stays."""
        try:
            return bool(super().onecmd(line))
        except UnusableInput as problem:
            tell(str(problem))
        except WorkerFailure as failure:
            tell(failure.message)
        return False

    def emptyline(self) -> bool:
        """Nothing: an empty line does not repeat the last command, which may be a long run."""
        return False

    def default(self, line: str) -> None:
        """A line that begins with no command."""
        tell(f"there is no command {line.split()[0]!r}; `help` tells those there are")

    # ------------------------------------------------------------ commands

    def do_load(self, line: str) -> None:
        """load FILE: the workflow that `run` runs; values given before are forgotten."""
        words = _words(line)
        if len(words) != 1:
            raise UnusableInput("load takes one file: load FILE")
        path = Path(words[0]).expanduser()
        read_document(path)
        self._file, self._arguments = path, {}
        if self._session.settings.worker.prewarm == "onOpen":
            self._session.prewarm()
        print(f"{path}: {', '.join(self._variables()) or 'no variables'}")

    def do_arg(self, line: str) -> None:
        """arg [NAME=VALUE | NAME]: give a variable a value; without one, its default again; alone, list all."""
        variables = self._variables()
        if not line.strip():
            for name, default in variables.items():
                print(
                    f"{name} = {self._arguments.get(name, default)!r}"
                    + ("" if name in self._arguments else "  (default)")
                )
            return
        name = line.partition("=")[0].strip()
        if name not in variables:
            raise UnusableInput(f"there is no variable {name!r}; there are: {', '.join(variables) or 'none'}")
        if "=" not in line:
            self._arguments.pop(name, None)
            return
        value = line.partition("=")[2].strip()
        self._arguments |= read_arguments([f"{name}={_unquoted(value)}"])

    def do_run(self, line: str) -> None:
        """run [STEP]: run the workflow as the file is now, up to a step or whole. Ctrl-C cancels."""
        path = self._loaded()
        words = [f"{name}={value}" for name, value in self._arguments.items()]
        options = argparse.Namespace(arguments=words, step=line.strip() or None, seed=None, output_dir=None)
        request = prepare(options, path, self._session.settings)
        if request is not None:
            self._session.run(request, path)

    def do_memory(self, line: str) -> None:
        """memory: what the worker holds, and what is free."""
        print("\n".join(memory_lines(self._session.ask(lambda supervisor: supervisor.memory()))))

    def do_clear(self, line: str) -> None:
        """clear: make the worker drop all models; it stays alive."""
        print("\n".join(memory_lines(self._session.ask(lambda supervisor: supervisor.clear()))))

    def do_status(self, line: str) -> None:
        """status: what the worker is doing."""
        print("\n".join(state_lines(self._session.state)))

    def do_restart(self, line: str) -> None:
        """restart: a new worker, whatever the old one does."""
        print("\n".join(state_lines(self._session.ask(lambda supervisor: supervisor.restart()))))

    def do_exit(self, line: str) -> bool:
        """exit: end the worker and leave (Ctrl-D does too)."""
        return True

    def do_EOF(self, line: str) -> bool:
        """The end of the input."""
        if self.use_rawinput:
            print()
        return True

    # ------------------------------------------------------------ completion

    def get_names(self) -> list[str]:
        """The commands that `help` lists."""
        return [name for name in super().get_names() if name != "do_EOF"]

    def completenames(self, text: str, *ignored: Any) -> list[str]:
        """Commands that begin so, and the space behind them."""
        return [f"{name} " for name in super().completenames(text, *ignored) if name != "EOF"]

    def complete_load(self, text: str, line: str, begin: int, end: int) -> list[str]:
        """Files and folders that begin so."""
        folder, _, beginning = text.rpartition("/")
        place = Path(folder + "/" if text.startswith("/") else folder or ".").expanduser()
        with contextlib.suppress(OSError):
            found = [entry for entry in place.iterdir() if entry.name.startswith(beginning)]
            names = [entry.name + ("/" if entry.is_dir() else "") for entry in found]
            return sorted(f"{folder}/{name}" if "/" in text else name for name in names)
        return []

    def complete_arg(self, text: str, line: str, begin: int, end: int) -> list[str]:
        """Variables that begin so."""
        if self._file is None or "=" in line[:begin]:
            return []
        return [f"{name}=" for name in self._variables() if name.startswith(text)]

    def complete_run(self, text: str, line: str, begin: int, end: int) -> list[str]:
        """Steps that begin so."""
        steps = self._document().get("steps") if self._file is not None else None
        names = [step.get("name") for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
        return [name for name in names if isinstance(name, str) and name.startswith(text)]

    # ------------------------------------------------------------ the file

    def _loaded(self) -> Path:
        if self._file is None:
            raise UnusableInput("no workflow is loaded; type: load FILE")
        return self._file

    def _document(self) -> dict[str, Value]:
        root = read_document(self._loaded()).root
        value = to_value(root) if isinstance(root, Object) else {}
        return value if isinstance(value, dict) else {}

    def _variables(self) -> dict[str, Value]:
        variables = self._document().get("variables")
        return variables if isinstance(variables, dict) else {}


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        raise UnusableInput("a quote is not closed") from None


def _unquoted(value: str) -> str:
    """The value without quotes around it: nobody means them here, but a shell has taught to type them."""
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value


# ---------------------------------------------------------------- words


def memory_lines(report: MemoryReport) -> list[str]:
    """A memory report for people."""
    lines = [f"{report.device}, {report.device_name}: {_of(report.free_bytes, report.total_bytes)} free"]
    lines.append(f"  worker {_size(report.process_bytes)}, host {_size(report.host_free_bytes)} free")
    for part in report.components:
        lines.append(f"  {part.name}  {part.class_name}, {size_words(part.bytes)}, on {part.device}")
    if not report.components:
        lines.append("  holds no models")
    return [*lines, *(f"  {warning}" for warning in report.warnings)]


def _size(size: int | None) -> str:
    return "unknown" if size is None else size_words(size)


def _of(part: int | None, whole: int | None) -> str:
    return f"{_size(part)} of {_size(whole)}" if part is not None and whole is not None else _size(part)


def state_lines(state: WorkerState) -> list[str]:
    """The worker's state for people."""
    pid = "" if state.pid is None else f" (process {state.pid}, {state.device or 'device not known yet'})"
    lines = [f"{state.state}{pid}"]
    if state.versions:
        lines.append("  " + ", ".join(f"{name} {version}" for name, version in state.versions.items()))
    if state.exit is not None:
        lines.append(f"  the last one: {state.exit.reason}")
    return lines


# ---------------------------------------------------------------- history


@contextlib.contextmanager
def _history(interactive: bool) -> Iterator[None]:
    """While this lasts, lines are remembered from session to session, where the system has readline."""
    try:
        readline: Any = importlib.import_module("readline") if interactive else None
    except ImportError:
        readline = None
    if readline is None:
        yield
        return
    path = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "dw-lsp" / "history"
    readline.set_completer_delims(" \t=")
    readline.set_history_length(HISTORY_LINES)
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    try:
        yield
    finally:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(path)
        except OSError as error:
            tell(f"what was typed cannot be remembered in {path}: {error.strerror}")
