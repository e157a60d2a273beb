"""The worker's memory and state for people."""

from __future__ import annotations

from pathlib import Path

from dw_lsp.cli.terminal import size_words
from dw_lsp.protocol import MemoryReport
from dw_lsp.supervisor.events import WorkerState


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


def toolbar_words(file: Path | None, state: WorkerState, memory: MemoryReport | None) -> str:
    """What stands below the line: the workflow, what the worker is doing, memory in use."""
    parts = ["no workflow" if file is None else file.name, f"worker {state.state}"]
    if memory is not None:
        used = memory.process_bytes if memory.device == "cpu" else memory.reserved_bytes
        if used is not None and memory.total_bytes is not None:
            parts.append(f"{memory.device} {size_words(used, memory.total_bytes)}")
        parts.append(f"{len(memory.components)} components")
    return "   ".join(parts)
