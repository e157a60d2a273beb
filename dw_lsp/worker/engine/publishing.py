"""Writing what one step gives: files, and what is told of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dw_lsp.planning.artifact import Artifact
from dw_lsp.protocol import ResultsWritten, StepResult
from dw_lsp.worker.engine.artifact_codec import Contents
from dw_lsp.worker.engine.manifest import RepeatableRun, embedded
from dw_lsp.worker.engine.progress import StepReporter
from dw_lsp.worker.engine.results import Place, write_artifact
from dw_lsp.worker.engine.run_context import RunContext
from dw_lsp.workflow.resolved import ResolvedStep


@dataclass(frozen=True)
class Iteration:
    """What one iteration of a step gave: its artifacts, and the seed in use.

    `separate`: each artifact is a result of its own (a list that a task returned); otherwise they are one result.
    `key` is what it is to be remembered under, with its `contents` and the `seconds` it took; `reused`: it was.
    """

    artifacts: Sequence[Artifact]
    seed: int | None = None
    separate: bool = False
    reused: bool = False
    key: str | None = None
    contents: Contents = field(default_factory=dict)
    seconds: float = 0.0


class Publisher:
    """Writes the results of one step, in order.

    Arguments: the step; the run's surroundings; what is embedded in pictures; `prefix` stands before each file's name;
    `told_as` is the step that results are told to belong to (of a called workflow: the calling one).
    """

    def __init__(
        self, step: ResolvedStep, context: RunContext, repeatable: RepeatableRun, prefix: str, told_as: str | None
    ):
        self._step, self._context, self._repeatable = step, context, repeatable
        self._prefix, self._told_as = prefix, told_as or step.name
        self._results = 0
        self._iterations = 0
        self._told = 0
        self.written: list[StepResult] = []

    def publish(self, iteration: Iteration, reporter: StepReporter) -> None:
        """Write what an iteration gave, as `result` says. Raises `InvalidInput` when it cannot be written."""
        if self._step.result is not None and self._context.folder is not None:
            metadata = ""
            if self._step.result.get("save") is not False:
                reporter.phase("saving")
                if str(self._step.result.get("content_type")).startswith("image/"):
                    metadata = embedded(self._repeatable, self._step, self._iterations, iteration.seed)
            for index, artifact in enumerate(iteration.artifacts):
                at = (self._results + index, 0) if iteration.separate else (self._results, index)
                place = Place(self._repeatable.workflow.id, at[0], at[1], self._prefix)
                self._write(artifact, place, iteration.seed, metadata, reporter)
        self._results += len(iteration.artifacts) if iteration.separate else 1
        self._iterations += 1
        # What was remembered can be had again; what was made is told of before something else can go wrong.
        if not iteration.reused and len(self.written) > self._told:
            told, self._told = tuple(self.written[self._told :]), len(self.written)
            self._context.send(ResultsWritten(self._context.request.run_id, told))

    def _write(self, artifact: Artifact, place: Place, seed: int | None, metadata: str, reporter: StepReporter) -> None:
        ledger, folder, read = self._context.ledger, self._context.folder, self._context.memory.read

        def frame_done(done: int, total: int) -> None:
            reporter.unit_done(done, total, "frame")

        if folder is None:
            raise RuntimeError("results are written before the run has a folder")
        for each in write_artifact(folder, self._step, artifact, place, metadata, read, frame_done):
            path = str(each.file.path) if each.file is not None else None
            told = StepResult(
                step=self._told_as,
                index=len(self.written),
                path=path,
                content_type=each.content_type,
                bytes=each.file.bytes if each.file is not None else 0,
                seed=seed,
                width=each.width,
                height=each.height,
            )
            if each.file is not None and path is not None:
                ledger.files[path] = each.file
            self.written.append(told)
            ledger.results.append(told)
