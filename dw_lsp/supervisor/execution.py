"""A request, with the user's settings, as the message that the worker gets."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dw_lsp.protocol import Execute, RunOptions
from dw_lsp.settings import Settings
from dw_lsp.supervisor.runs import RunRequest

_MIB = 1024 * 1024


def execute_message(run_id: str, request: RunRequest, settings: Settings) -> Execute:
    """The message that begins a run."""
    return Execute(
        run_id=run_id,
        text=request.text,
        document_path=request.document_path,
        roots=request.roots,
        output_directory=str(output_folder(request, settings)),
        arguments=request.arguments,
        step=request.step,
        seed=request.seed,
        options=dataclasses.replace(run_options(settings), profile_memory=request.profile_memory),
    )


def output_folder(request: RunRequest, settings: Settings) -> Path:
    """Where results go: relative to the first workspace folder, else to the file, else to the current folder."""
    folder = Path(request.output_directory or settings.output_directory).expanduser()
    if request.roots:
        return Path(request.roots[0]) / folder
    if request.document_path is not None:
        return Path(request.document_path).parent / folder
    return Path.cwd() / folder


def run_options(settings: Settings) -> RunOptions:
    """The settings that a run obeys."""
    return RunOptions(
        preview_enabled=settings.preview.enabled,
        preview_every_steps=settings.preview.every_steps,
        trust_remote_code=settings.security.trust_remote_code,
        allow_pickle=settings.security.allow_pickle,
        allowed_modules=tuple(settings.security.allowed_modules),
        allowed_paths=tuple(settings.security.allowed_paths),
        memory_budget=settings.memory.budget,
        host_memory_budget=settings.memory.host_budget,
        growth_warning_bytes=int(settings.memory.growth_warning_mb * _MIB),
        reuse_unseeded=settings.run.reuse_unseeded,
        remembered_bytes=int(settings.run.remembered_gb * 1024 * _MIB),
    )
