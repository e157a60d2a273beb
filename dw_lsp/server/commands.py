"""The `dw.*` commands: an argument is checked, the supervisor asked, its answer written as the contract has it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams

from dw_lsp.planning.plan import plan, steps_until
from dw_lsp.protocol import MemoryReport
from dw_lsp.server.arguments import COMMANDS, check_argument
from dw_lsp.server.diagnostics import Diagnostics
from dw_lsp.server.documents import Documents, UnreadableDocument, path_of
from dw_lsp.server.transport import REQUEST_FAILED
from dw_lsp.settings import Settings
from dw_lsp.supervisor.events import to_json
from dw_lsp.supervisor.failures import WorkerFailure
from dw_lsp.supervisor.runs import RunRequest, Submitted
from dw_lsp.supervisor.supervisor import Supervisor
from dw_lsp.text.document import Document
from dw_lsp.workflow.resolved import InvalidInput, ResolvedWorkflow
from dw_lsp.workflow.substitution import resolve

Argument: TypeAlias = dict[str, Any]
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

    def run_again(self, document: Document) -> None:
        """Run a document with its defaults, as when it is saved; one with mistakes is left alone."""
        if not any(finding.severity == "error" for finding in self._diagnostics.findings(document)):
            self._submit("dw.run", document, {})

    async def _run(self, argument: Argument) -> Any:
        document, _ = self._prepared("dw.run", argument)
        return to_json(self._submit("dw.run", document, argument))

    def _submit(self, command: str, document: Document, argument: Argument) -> Submitted:
        workflow = self._resolved(command, document, argument)
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
                output_directory=str(self._output_directory(document, argument)),
            )
        )
        self._submitted(submitted, document, workflow.id)
        return submitted

    async def _plan(self, argument: Argument) -> Any:
        document, workflow = self._prepared("dw.plan", argument)
        path = path_of(document.uri)
        residency = {component.key: component for component in self._supervisor.residency}
        try:
            planned = plan(
                workflow,
                None if path is None else path.parent,
                residency,
                self._output_directory(document, argument),
                argument.get("step"),
            )
        except InvalidInput as problem:
            raise self._refused("dw.plan", document, problem) from problem
        return planned.to_json()

    async def _cancel(self, argument: Argument) -> Any:
        cancelled = self._supervisor.cancel(argument.get("runId"))
        return {"runId": cancelled.run_id, "cancelled": cancelled.cancelled}

    def _prepared(self, command: str, argument: Argument) -> tuple[Document, ResolvedWorkflow]:
        """The document and its workflow. Raises `JsonRpcInvalidParams` for whatever would keep it from running."""
        try:
            document = self._documents.load(argument["uri"])
        except UnreadableDocument as error:
            raise JsonRpcInvalidParams(f"{command}: 'uri': {error}") from error
        for finding in self._diagnostics.findings(document):
            if finding.severity == "error":
                line = document.lines.line_of(finding.range.start) + 1
                raise JsonRpcInvalidParams(f"{command}: line {line}: {finding.message} [{finding.code}]")
        return document, self._resolved(command, document, argument)

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

    def _output_directory(self, document: Document, argument: Argument) -> Path:
        wanted = Path(argument.get("outputDir") or self._settings().output_directory).expanduser()
        roots = self._documents.roots(document.uri)
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
