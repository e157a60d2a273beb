"""The `dw.*` commands: an argument is checked, the supervisor asked, its answer written as the contract has it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams

from dw_lsp.analysis.findings import Finding
from dw_lsp.planning.plan import Plan, plan, run_seed, steps_until
from dw_lsp.planning.step_store import StepStore
from dw_lsp.protocol import Component, MemoryReport
from dw_lsp.server.arguments import COMMANDS, check_argument
from dw_lsp.server.diagnostics import Diagnostics, is_large
from dw_lsp.server.documents import Documents, UnreadableDocument
from dw_lsp.server.transport import REQUEST_FAILED
from dw_lsp.settings import Settings
from dw_lsp.supervisor.events import to_json
from dw_lsp.supervisor.failures import WorkerFailure
from dw_lsp.supervisor.runs import RunRequest, Submitted
from dw_lsp.supervisor.supervisor import Supervisor
from dw_lsp.text.document import Document, path_of
from dw_lsp.workflow.resolved import InvalidInput, ResolvedWorkflow
from dw_lsp.workflow.substitution import resolve

Argument: TypeAlias = dict[str, Any]
Result = TypeVar("Result")
LARGEST_SEED = 2**64 - 1


class Commands:
    """All commands of one server.

    Arguments: the documents, their findings, the supervisor, the settings; `submitted` is told of each accepted run.
    """

    def __init__(
        self,
        documents: Documents,
        diagnostics: Diagnostics,
        supervisor: Supervisor,
        settings: Callable[[], Settings],
        submitted: Callable[[Submitted, Document, str], None],
    ):
        self._documents, self._diagnostics, self._supervisor = documents, diagnostics, supervisor
        self._settings, self._submitted = settings, submitted
        self._handlers: Mapping[str, Callable[[Argument], Awaitable[Any]]] = {
            "dw.run": self._run,
            "dw.plan": self._plan,
            "dw.cancel": self._cancel,
            "dw.memory": self._memory,
            "dw.clear": self._clear,
            "dw.ping": self._ping,
            "dw.status": self._status,
            "dw.restart": self._restart,
            "dw.shutdown": self._shutdown,
            "dw.evict": self._evict,
        }
        assert self._handlers.keys() == COMMANDS.keys()

    async def execute(self, command: str, arguments: tuple[Any, ...]) -> Any:
        """Carry out a command. Raises `JsonRpcException` with a sentence for people."""
        argument = check_argument(command, arguments)
        try:
            return await self._handlers[command](argument)
        except WorkerFailure as failure:
            raise JsonRpcException(str(failure), REQUEST_FAILED) from failure

    # ------------------------------------------------------------ runs

    async def run_again(self, document: Document) -> None:
        """Run a document with its defaults, as when it is saved; one with mistakes (which are marked) is left alone.

        Raises `JsonRpcInvalidParams` where something else keeps it from running.
        """
        if not await _apart(document, self._prevents, document):
            await self._submit(document, {})

    async def _run(self, argument: Argument) -> Any:
        document = await self._sound_document("dw.run", argument)
        return to_json(await self._submit(document, argument))

    async def _submit(self, document: Document, argument: Argument) -> Submitted:
        workflow = await _apart(document, self._resolved, "dw.run", document, argument)
        path = path_of(document.uri)
        submitted = self._supervisor.submit(
            RunRequest(
                uri=document.uri,
                text=document.text,
                document_path=None if path is None else str(path),
                roots=tuple(str(root) for root in self._documents.roots(document.uri)),
                arguments=argument.get("arguments", {}),
                step=argument.get("step"),
                seed=argument.get("seed"),
                output_directory=str(self._output_directory("dw.run", document, argument)),
            )
        )
        self._submitted(submitted, document, workflow.id)
        return submitted

    async def _plan(self, argument: Argument) -> Any:
        document = await self._sound_document("dw.plan", argument)
        if found := await _apart(document, self._diagnostics.called_findings, document):
            raise self._mistaken("dw.plan", document, found[0])
        residency = {component.key: component for component in self._supervisor.residency}
        return (await _apart(document, self._planned, document, argument, residency)).to_json()

    def _planned(self, document: Document, argument: Argument, residency: Mapping[str, Component]) -> Plan:
        workflow = self._resolved("dw.plan", document, argument)
        path = path_of(document.uri)
        folder = None if path is None else path.parent
        output_directory = self._output_directory("dw.plan", document, argument)
        try:
            store = StepStore(output_directory)
            seed = run_seed(workflow, argument.get("seed"), store, self._settings().run.reuse_unseeded)
            device = self._supervisor.state.device or store.device or "cpu"
            catalog, step = self._documents.workspace(document.uri).catalog, argument.get("step")
            return plan(workflow, folder, residency, output_directory, step, store, seed, device, catalog)
        except InvalidInput as problem:
            raise self._refused("dw.plan", document, problem) from problem

    async def _cancel(self, argument: Argument) -> Any:
        cancelled = self._supervisor.cancel(argument.get("runId"))
        return {"runId": cancelled.run_id, "cancelled": cancelled.cancelled}

    async def _sound_document(self, command: str, argument: Argument) -> Document:
        """The document that is named. Raises `JsonRpcInvalidParams` if it cannot be read or has a mistake."""
        try:
            document = self._documents.load(argument["uri"])
        except UnreadableDocument as error:
            raise JsonRpcInvalidParams(f"{command}: 'uri': {error}") from error
        if "text" in argument:
            document = Document(document.uri, argument["text"], language_id=document.language_id)
        if finding := await _apart(document, self._prevents, document):
            raise self._mistaken(command, document, finding)
        return document

    def _mistaken(self, command: str, document: Document, finding: Finding) -> JsonRpcInvalidParams:
        line = document.lines.line_of(finding.range.start) + 1
        return JsonRpcInvalidParams(f"{command}: line {line}: {finding.message} [{finding.code}]")

    def _prevents(self, document: Document) -> Finding | None:
        """The first mistake for which a document is not run."""
        findings = self._diagnostics.findings(document)
        return next((finding for finding in findings if finding.severity == "error"), None)

    def _resolved(self, command: str, document: Document, argument: Argument) -> ResolvedWorkflow:
        seed = argument.get("seed")
        if seed is not None and not 0 <= seed <= LARGEST_SEED:
            raise JsonRpcInvalidParams(f"{command}: 'seed' must be from 0 to {LARGEST_SEED}, not {seed}")
        try:
            workflow = resolve(document.root, argument.get("arguments", {}))
            steps_until(workflow, argument.get("step"))
        except InvalidInput as problem:
            raise self._refused(command, document, problem) from problem
        return workflow

    def _refused(self, command: str, document: Document, problem: InvalidInput) -> JsonRpcInvalidParams:
        line = "" if problem.range is None else f"line {document.lines.line_of(problem.range.start) + 1}: "
        hint = f" {problem.hint}" if problem.hint else ""
        return JsonRpcInvalidParams(f"{command}: {line}{problem.message}{hint}")

    def _output_directory(self, command: str, document: Document, argument: Argument) -> Path:
        field = "outputDir" if argument.get("outputDir") else "dw.outputDirectory"
        text = argument.get("outputDir") or self._settings().output_directory
        roots = self._documents.roots(document.uri)
        try:
            wanted = Path(text).expanduser()
        except RuntimeError:
            raise JsonRpcInvalidParams(f"{command}: {field!r}: {text!r} begins with nobody's home folder") from None
        if "\0" in text:
            raise JsonRpcInvalidParams(f"{command}: {field!r}: {text!r} cannot name a folder")
        return (roots[0] if roots else Path(os.getcwd())) / wanted

    # ------------------------------------------------------------ the worker

    async def _memory(self, argument: Argument) -> Any:
        return _report(await self._supervisor.memory())

    async def _clear(self, argument: Argument) -> Any:
        return _report(await self._supervisor.clear())

    async def _evict(self, argument: Argument) -> Any:
        return _report(await self._supervisor.evict(argument["component"]))

    async def _ping(self, argument: Argument) -> Any:
        answer = await self._supervisor.ping()
        return {"pid": answer.pid, "runCount": answer.run_count, "uptime": answer.uptime}

    async def _status(self, argument: Argument) -> Any:
        return self._supervisor.state.to_json()

    async def _restart(self, argument: Argument) -> Any:
        return (await self._supervisor.restart()).to_json()

    async def _shutdown(self, argument: Argument) -> Any:
        return (await self._supervisor.shutdown()).to_json()


def _report(report: MemoryReport) -> Any:
    return to_json(report)


async def _apart(document: Document, work: Callable[..., Result], *arguments: Any) -> Result:
    """The work's result; work on a large document is done on a thread, so that other requests are answered meanwhile.

    That of others is done at once: what is asked first is then answered first.
    """
    return await asyncio.to_thread(work, *arguments) if is_large(document) else work(*arguments)
