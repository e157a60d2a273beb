"""What a person at a terminal, a pipe or a program sees of a run: a progress bar, plain lines, or JSON lines.

Progress and complaints go to standard error, results alone to standard output. Knows events, not where they come from.
"""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path
from typing import Any, Protocol, TextIO

from dw_lsp.protocol import RunError, StepResult
from dw_lsp.supervisor.events import Event, Log, RunFinished, RunProgress, RunStarted, StepFinished, WorkerState
from dw_lsp.text.positions import LineIndex

#: Complaints of libraries are shown when the run fails; so many of them.
KEPT_COMPLAINTS = 10


class View(Protocol):
    """Shows the events of runs. `text` and `path` are the document that a run is of."""

    def begin(self, text: str, path: Path) -> None:
        """A run of this document is about to be asked for."""

    def show(self, event: Event) -> None:
        """Show one event."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def make_view(as_json: bool, output: TextIO, errors: TextIO) -> View:
    """The view for these streams: JSON where that is wanted, a bar on a terminal, lines elsewhere."""
    if as_json:
        return JsonView(output)
    return BarView(output, errors) if errors.isatty() else LineView(output, errors)


# ---------------------------------------------------------------- words


def phase_words(progress: RunProgress) -> str:
    """Where a run is: `draw: denoising`, `draw 2/4: loading FluxPipeline: vae`."""
    turn = f" {progress.iteration + 1}/{progress.iteration_count}" if progress.iteration_count > 1 else ""
    detail = f" {progress.message}" if progress.message else ""
    return f"{progress.step}{turn}: {progress.phase}{detail}"


def count_words(progress: RunProgress) -> str:
    """How far it is: `12/25`, `1.2/23.8 GB`; empty when not known."""
    if progress.current is None:
        return ""
    if progress.unit in ("byte", "bytes"):
        return size_words(progress.current, progress.total)
    return f"{progress.current}" if progress.total is None else f"{progress.current}/{progress.total}"


def size_words(count: int, total: int | None = None) -> str:
    """Bytes for people: `1.2 GB`, `1.2/23.8 GB`."""
    scale, unit = next(
        (pair for pair in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")) if max(count, total or 0) >= pair[0]), (1.0, "bytes")
    )
    digits = 1 if scale > 1 else 0
    whole = "" if total is None else f"/{total / scale:.{digits}f}"
    return f"{count / scale:.{digits}f}{whole} {unit}"


def speed_words(progress: RunProgress) -> str:
    """How fast it goes, in the form that has a number above one: `4.1 steps/s`, `2.5 s/step`, `310.0 MB/s`."""
    seconds = progress.seconds_per_unit
    if not seconds or progress.unit is None:
        return ""
    if progress.unit in ("byte", "bytes"):
        return f"{size_words(round(1 / seconds))}/s"
    unit = progress.unit.removesuffix("s")
    return f"{1 / seconds:.1f} {unit}s/s" if seconds < 1 else f"{seconds:.1f} s/{unit}"


def time_words(seconds: float) -> str:
    """A time for people: `0.4 s`, `12 s`, `3:05`, `1:02:09`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def summary_words(finished: RunFinished) -> str:
    """How a run ended, in one line."""
    facts = [] if finished.seed is None else [f"seed {finished.seed}"]
    if finished.loaded:
        loaded = sum(part.bytes for part in finished.loaded)
        facts.append(f"loaded {len(finished.loaded)} component{'s' * (len(finished.loaded) > 1)}, {size_words(loaded)}")
    elif finished.steps and all(step.outcome == "reused" for step in finished.steps):
        facts.append("all of it remembered, nothing had to be run")
    elif finished.reused:
        facts.append("nothing had to be loaded")
    peak = max((step.peak_bytes for step in finished.steps if step.peak_bytes is not None), default=None)
    if peak is not None:
        facts.append(f"at most {size_words(peak)} in use")
    outcome = "timed out" if finished.outcome == "timedOut" else finished.outcome
    return f"{outcome} after {time_words(finished.seconds)}" + (f" ({', '.join(facts)})" if facts else "")


def error_lines(error: RunError, text: str, path: Path) -> list[str]:
    """An error for people: its place in the file, what is wrong, what to do."""
    place = f"{path}: "
    if error.start is not None:
        position = LineIndex(text).position(error.start, "utf-32")
        place = f"{path}:{position.line + 1}:{position.character + 1}: "
    step = f" (step {error.step!r})" if error.step and repr(error.step) not in error.message else ""
    return [f"{place}{error.message}{step}", *([f"  {error.hint}"] if error.hint else [])]


def paths(results: tuple[StepResult, ...]) -> list[str]:
    """The files that were written."""
    return [result.path for result in results if result.path is not None]


# ---------------------------------------------------------------- JSON


class JsonView:
    """One event as JSON on each line, as an editor gets it: `{"method": ..., "params": ...}`."""

    def __init__(self, output: TextIO):
        self._output, self._text = output, ""

    def begin(self, text: str, path: Path) -> None:
        self._text = text

    def show(self, event: Event) -> None:
        line = {"method": event.method, "params": with_ranges(event.to_json(), self._text)}
        print(json.dumps(line, ensure_ascii=False, default=str), file=self._output, flush=True)

    def close(self) -> None:
        self._output.flush()


def with_ranges(params: dict[str, Any], text: str) -> dict[str, Any]:
    """An event's parameters with the offsets of its error as a range of lines and UTF-16 characters, as in LSP."""
    error = params.get("error")
    if not isinstance(error, dict) or "offsets" not in error:
        return params
    offsets, lines = error.pop("offsets"), LineIndex(text)
    error["range"] = {end: vars(lines.position(offsets[end], "utf-16")) for end in ("start", "end")}
    return params


# ---------------------------------------------------------------- lines


class LineView:
    """Plain lines for pipes and logs: one for each phase of each step, not one for each denoising step."""

    def __init__(self, output: TextIO, errors: TextIO):
        self._output, self._errors = output, errors
        self._text, self._path = "", Path()
        self._said: tuple[Any, ...] = ()
        self._complaints: deque[str] = deque(maxlen=KEPT_COMPLAINTS)

    def begin(self, text: str, path: Path) -> None:
        self._text, self._path, self._said = text, path, ()
        self._complaints.clear()

    def show(self, event: Event) -> None:
        if isinstance(event, WorkerState):
            self._show_state(event)
        elif isinstance(event, RunStarted):
            self._say(f"running {event.workflow}: {', '.join(event.steps)}")
        elif isinstance(event, RunProgress):
            self._show_progress(event)
        elif isinstance(event, StepFinished):
            self._say(f"{event.step}: {event.outcome} in {time_words(event.seconds)}")
        elif isinstance(event, Log):
            self._show_log(event)
        elif isinstance(event, RunFinished):
            self._show_end(event)

    def close(self) -> None:
        self._output.flush()

    def _show_state(self, event: WorkerState) -> None:
        if self._said != (event.state,):
            self._said = (event.state,)
            if event.state == "starting":
                self._say("starting worker")
            elif event.state == "unresponsive":
                self._say("the worker does not answer at the moment")

    def _show_progress(self, event: RunProgress) -> None:
        phase = (event.step, event.iteration, event.phase)
        if phase != self._said:
            self._said = phase
            self._say(phase_words(event))

    def _show_log(self, event: Log) -> None:
        if event.level == "error":
            self._say(event.message)
        elif event.level == "warning" and event.run_id is not None:
            # What a library says of itself while it is imported explains no run's failure.
            self._complaints.append(event.message)

    def _show_end(self, event: RunFinished) -> None:
        if event.error is not None:
            if event.outcome != "cancelled":
                for line in self._complaints:
                    self._say(f"log: {line}")
            for line in error_lines(event.error, self._text, self._path):
                self._say(line)
        self._say(summary_words(event))
        for path in paths(event.results):
            print(path, file=self._output, flush=True)

    def _say(self, line: str) -> None:
        print(line, file=self._errors, flush=True)


# ---------------------------------------------------------------- bar


class BarView(LineView):
    """A progress bar with step, count, speed and time left, which leaves only the lines that matter afterwards."""

    def __init__(self, output: TextIO, errors: TextIO):
        super().__init__(output, errors)
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        words = (TextColumn("{task.fields[" + name + "]}", markup=False) for name in ("count", "speed", "left"))
        self._console = Console(file=errors, highlight=False, markup=False, emoji=False)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            *words,
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None, count="", speed="", left="")

    def begin(self, text: str, path: Path) -> None:
        super().begin(text, path)
        self._progress.reset(self._task, total=None, description=path.name, count="", speed="", left="")
        self._progress.start()

    def show(self, event: Event) -> None:
        if isinstance(event, RunFinished):
            self._progress.stop()
        if not isinstance(event, (RunStarted, StepFinished)):
            super().show(event)

    def refresh(self) -> None:
        """Draw what is known now; otherwise it is drawn several times a second."""
        self._progress.refresh()

    def close(self) -> None:
        self._progress.stop()
        super().close()

    def _show_state(self, event: WorkerState) -> None:
        if event.state in ("starting", "unresponsive"):
            words = "starting worker" if event.state == "starting" else "the worker does not answer at the moment"
            self._progress.update(self._task, description=words)

    def _show_progress(self, event: RunProgress) -> None:
        total = event.total if event.current is not None else None
        self._progress.update(
            self._task,
            description=phase_words(event),
            total=total,
            completed=event.current or 0,
            count=count_words(event),
            speed=speed_words(event),
            left="" if event.eta is None else f"{time_words(event.eta)} left",
        )

    def _say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)
