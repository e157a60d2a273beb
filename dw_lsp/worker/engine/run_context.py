"""What all steps of one run share: the request, what it may read and name, who is told, what has been made so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from dw_lsp.planning.input_files import InputFiles
from dw_lsp.planning.measured import Measurements
from dw_lsp.protocol import Component, Execute, Message, RunOptions, StepResult, StepSummary
from dw_lsp.worker.cancellation import Cancellation
from dw_lsp.worker.engine.allowed_paths import AllowedPaths
from dw_lsp.worker.engine.arguments import Arguments
from dw_lsp.worker.engine.components import Components
from dw_lsp.worker.engine.computing_thread import ComputingThread
from dw_lsp.worker.engine.downloads import Fetched
from dw_lsp.worker.engine.eviction import Budgets
from dw_lsp.worker.engine.ip_adapters import IpAdapters
from dw_lsp.worker.engine.latent_views import View
from dw_lsp.worker.engine.loading import Loader
from dw_lsp.worker.engine.loras import Loras
from dw_lsp.worker.engine.media import Media
from dw_lsp.worker.engine.memory import Meter
from dw_lsp.worker.engine.prompts import Prompts
from dw_lsp.worker.engine.remembering import StepMemory
from dw_lsp.worker.engine.run_folder import RunFolder, WrittenFile
from dw_lsp.worker.engine.trusted_types import TrustedTypes


@dataclass(frozen=True)
class FileContents:
    """What was found in a single file with a pipeline's components.

    `keys` are those of its components by name, `None` for one that is not in the file; `schedulers` have never been
    used; `options` are those of each pipeline class that was made of it, by the class's name.
    """

    keys: dict[str, str | None] = field(default_factory=dict)
    schedulers: dict[str, Any] = field(default_factory=dict)
    options: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Resources:
    """What outlives a run: the components, the device, how latents are shown (by the autoencoder's key).

    `single_files` notes what is in a single file, by the file's digest.
    `task_models` are the keys of components that tasks have loaded.
    """

    components: Components
    meter: Meter
    device: torch.device
    versions: Mapping[str, str]
    latent_views: dict[str, View | None] = field(default_factory=dict)
    single_files: dict[str, FileContents] = field(default_factory=dict)
    memories: dict[Path, StepMemory] = field(default_factory=dict)
    loras: Loras = field(default_factory=Loras)
    ip_adapters: IpAdapters = field(default_factory=IpAdapters)
    measurements: Measurements = field(default_factory=Measurements)
    prompts: Prompts = field(default_factory=Prompts)
    task_models: set[str] = field(default_factory=set)
    computing: ComputingThread = field(default_factory=ComputingThread)

    def memory_of(self, output_directory: Path) -> StepMemory:
        """The store of remembered steps of an output directory."""
        if output_directory not in self.memories:
            self.memories[output_directory] = StepMemory(output_directory)
        return self.memories[output_directory]


@dataclass(frozen=True)
class Ledger:
    """What a run has made and used so far; grows as it goes on."""

    results: list[StepResult] = field(default_factory=list)
    files: dict[str, WrittenFile] = field(default_factory=dict)
    loaded: dict[str, Component] = field(default_factory=dict)
    reused: dict[str, Component] = field(default_factory=dict)
    steps: dict[str, StepSummary] = field(default_factory=dict)

    def note_components(self, loaded: tuple[Component, ...], reused: tuple[Component, ...]) -> None:
        """Count components as loaded, or, where this run has not loaded them itself, as reused."""
        self.loaded.update({record.key: record for record in loaded})
        self.reused.update({record.key: record for record in reused if record.key not in self.loaded})


@dataclass(frozen=True)
class RunContext:
    """One run's surroundings.

    `folder` is where its files go, `budgets` what kept components may fill; `memory` has the steps of earlier
    runs, for `surroundings` like these; `fetched` what addresses have given.
    """

    request: Execute
    send: Callable[[Message], None]
    cancellation: Cancellation
    resources: Resources
    types: TrustedTypes
    allowed: AllowedPaths
    loader: Loader
    budgets: Budgets
    memory: StepMemory
    surroundings: str
    ledger: Ledger = field(default_factory=Ledger)
    folder: RunFolder | None = None
    fetched: Fetched = field(default_factory=Fetched)

    @property
    def options(self) -> RunOptions:
        return self.request.options

    def with_folder(self, folder: RunFolder) -> RunContext:
        """The same context, now that the run's files have a place."""
        return replace(self, folder=folder)

    def begun_again(self) -> RunContext:
        """The context of a run that starts over: what was loaded stays so, its files take the place of the first."""
        if self.folder is not None:
            self.folder.begin_again()
        return replace(self, ledger=Ledger(loaded=self.ledger.loaded, reused=self.ledger.reused))

    def arguments_of(self, folder: Path | None, films: bool = True) -> Arguments:
        """What makes argument values live, for a workflow file in that folder; `films`: videos keep their sound."""
        return Arguments(self.media_of(folder), self.types, films)

    def media_of(self, folder: Path | None) -> Media:
        """Where pictures come from, for a workflow file in that folder."""
        return Media(self.allowed, folder, self.cancellation.check, self.fetched)

    def files_of(self, folder: Path | None) -> InputFiles:
        """What the files are that a workflow file in that folder names, and what is at addresses."""
        return InputFiles(folder, lambda url: self.fetched.digest(url, self.cancellation.check))
