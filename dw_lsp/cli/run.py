"""`dw-lsp run`: a workflow file through the same supervisor and worker as the editor's, with progress on the terminal.

What is wrong with the file or the arguments is told before a worker is started.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dw_lsp.analysis.diagnose import diagnose
from dw_lsp.analysis.workspace import DiskWorkspace
from dw_lsp.cli.inputs import UnusableInput, read_arguments, read_document, read_settings, tell, workspace_folder
from dw_lsp.cli.terminal import View, make_view
from dw_lsp.protocol import RunOutcome
from dw_lsp.settings import Settings
from dw_lsp.supervisor.deadlines import Limits
from dw_lsp.supervisor.events import Event, Log, RunFinished
from dw_lsp.supervisor.runs import RunRequest
from dw_lsp.supervisor.supervisor import Supervisor
from dw_lsp.text.document import Document
from dw_lsp.text.syntax_tree import Range
from dw_lsp.workflow.resolved import InvalidInput
from dw_lsp.workflow.substitution import resolve

SUCCEEDED, FAILED, INVALID, CANCELLED = 0, 1, 2, 130
EXIT_CODES: dict[RunOutcome, int] = {
    "succeeded": SUCCEEDED,
    "failed": FAILED,
    "crashed": FAILED,
    "timedOut": FAILED,
    "cancelled": CANCELLED,
}
#: How the worker's line on a file of a memory profile begins.
PROFILE = "memory profile: "
#: How often `--watch` looks at the file, in seconds.
LOOK_SECONDS = 0.25


def run(options: argparse.Namespace) -> int:
    """Run a workflow file. Returns the exit code.

    Arguments: `options` has file, arguments, step, output_dir, seed, json, watch and profile_memory, as the command
    line has them.
    """
    settings = read_settings()
    path = Path(options.file)
    request = None if options.watch else prepare(options, path, settings)
    if request is None and not options.watch:
        return INVALID
    view = make_view(options.json, sys.stdout, sys.stderr)
    return asyncio.run(_Session(options, path, settings, view).carry_out(request))


# ---------------------------------------------------------------- before the run


def prepare(options: argparse.Namespace, path: Path, settings: Settings) -> RunRequest | None:
    """What to ask the supervisor for; `None`, having told why, when the file or the arguments are at fault."""
    try:
        document = dataclasses.replace(read_document(path), language_id="dw-workflow")
        arguments = read_arguments(options.arguments)
        _refuse_mistakes(document, path, settings)
        workflow = resolve(document.root, arguments)
        if options.step is not None and workflow.step(options.step) is None:
            names = ", ".join(step.name for step in workflow.steps)
            raise UnusableInput(f"there is no step {options.step!r}; the steps are: {names}")
    except UnusableInput as problem:
        tell(str(problem))
        return None
    except InvalidInput as problem:
        print(_placed(document, path, problem.range, f"error: {problem.message}"), file=sys.stderr)
        if problem.hint:
            print(f"  {problem.hint}", file=sys.stderr)
        return None
    return RunRequest(
        uri=document.uri,
        text=document.text,
        document_path=str(path.resolve()),
        roots=(str(workspace_folder(path)),),
        arguments=arguments,
        step=options.step,
        seed=options.seed,
        output_directory=None if options.output_dir is None else str(Path(options.output_dir).expanduser().absolute()),
        profile_memory=options.profile_memory,
    )


def _refuse_mistakes(document: Document, path: Path, settings: Settings) -> None:
    findings = diagnose(document, DiskWorkspace([workspace_folder(path)], settings), settings.diagnostics.severity)
    errors = [finding for finding in findings if finding.severity == "error"]
    for finding in errors:
        print(_placed(document, path, finding.range, f"error: {finding.message} [{finding.code}]"), file=sys.stderr)
    if errors:
        raise UnusableInput(f"{path} has {len(errors)} error{'s' * (len(errors) > 1)}, so it is not run")


def _placed(document: Document, path: Path, place: Range | None, message: str) -> str:
    if place is None:
        return f"{path}: {message}"
    position = document.lines.position(place.start, "utf-32")
    return f"{path}:{position.line + 1}:{position.character + 1}: {message}"


# ---------------------------------------------------------------- the run


@dataclass(frozen=True)
class _Seen:
    """The file as it was last looked at: enough to tell that it was saved."""

    modified: int
    size: int


class _Session:
    """One supervisor, and the run or runs of one file."""

    def __init__(self, options: argparse.Namespace, path: Path, settings: Settings, view: View):
        self._options, self._path, self._settings, self._view = options, path, settings, view
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        # No run follows upon one that a single request asks for: nobody would wait for another worker.
        limits = Limits() if options.watch else Limits(spare=None)
        self._supervisor = Supervisor(settings, self._events.put_nowait, limits)
        self._interrupted = asyncio.Event()

    async def carry_out(self, request: RunRequest | None) -> int:
        """Carry out the one request; `None`: run the file now and at each save. Returns the exit code."""
        with self._interrupts():
            try:
                return await (self._watch() if request is None else self._run(request))
            finally:
                self._view.close()
                await self._supervisor.close()

    async def _run(self, request: RunRequest) -> int:
        self._view.begin(request.text, self._path)
        run_id = self._supervisor.submit(request).run_id
        while True:
            event = await self._events.get()
            self._view.show(event)
            if self._options.profile_memory and isinstance(event, Log) and event.message.startswith(PROFILE):
                print(event.message, file=sys.stderr, flush=True)
            if isinstance(event, RunFinished) and event.run_id == run_id:
                self._show_the_rest()
                return EXIT_CODES[event.outcome]

    def _show_the_rest(self) -> None:
        while not self._events.empty():
            self._view.show(self._events.get_nowait())

    async def _watch(self) -> int:
        self._supervisor.prewarm()
        code = SUCCEEDED
        while not self._interrupted.is_set():
            seen = _look(self._path)
            request = prepare(self._options, self._path, self._settings)
            code = INVALID if request is None else await self._run(request)
            if not self._interrupted.is_set():
                print(f"watching {self._path}; Ctrl-C ends", file=sys.stderr, flush=True)
                await self._until_saved(seen)
        return code

    async def _until_saved(self, seen: _Seen | None) -> None:
        while not self._interrupted.is_set():
            now = _look(self._path)
            if now is not None and now != seen:
                return
            self._show_the_rest()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._interrupted.wait(), LOOK_SECONDS)

    # ------------------------------------------------------------ Ctrl-C

    @contextlib.contextmanager
    def _interrupts(self) -> Iterator[None]:
        """While this lasts, Ctrl-C cancels the run, and once more ends the worker without asking."""
        loop = asyncio.get_running_loop()
        before = {
            number: signal.signal(number, lambda *_: loop.call_soon_threadsafe(self._interrupt))
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _interrupt(self) -> None:
        again = self._interrupted.is_set()
        self._interrupted.set()
        if self._supervisor.cancel(force=again).cancelled and not again:
            print("cancelling; Ctrl-C once more does not wait", file=sys.stderr, flush=True)


def _look(path: Path) -> _Seen | None:
    """The file's time and size; `None` while an editor is about to replace it."""
    try:
        status = path.stat()
    except OSError:
        return None
    return _Seen(status.st_mtime_ns, status.st_size)
