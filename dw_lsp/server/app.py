"""The language server: its parts, put together, and one table of what it answers. Never imports torch."""

from __future__ import annotations

import asyncio
import functools
import gc
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException

import dw_lsp
from dw_lsp.analysis.diagnose import LARGEST_DOCUMENT
from dw_lsp.analysis.workspace import Device
from dw_lsp.server.arguments import COMMANDS
from dw_lsp.server.commands import Commands
from dw_lsp.server.configuration import Configuration
from dw_lsp.server.convert import change_of, encoding_of
from dw_lsp.server.diagnostics import Diagnostics
from dw_lsp.server.documents import Documents
from dw_lsp.server.features import FEATURES, Feature, load_all
from dw_lsp.server.installed import Installed
from dw_lsp.server.last_runs import LastRuns
from dw_lsp.server.notifications import Notifications
from dw_lsp.server.orphans import leave_with
from dw_lsp.server.transport import QuietLanguageServer
from dw_lsp.server.watching import did_change_watched_files, registrations, watches_files
from dw_lsp.server.workspace_diagnostics import WorkspaceDiagnostics
from dw_lsp.settings import Settings
from dw_lsp.supervisor.events import Event, MemoryChanged, RunFinished, WorkerState
from dw_lsp.supervisor.supervisor import Supervisor
from dw_lsp.text.document import Document, path_of
from dw_lsp.text.positions import Encoding
from dw_lsp.workflow.recognition import is_workflow

if TYPE_CHECKING:
    from dw_lsp.server.completion import Proposed

#: When the start is over, in seconds: what is in memory by then stays.
SETTLED_SECONDS = 1.0


class Server(QuietLanguageServer):
    """All parts of one server, put together."""

    def __init__(self) -> None:
        super().__init__("dw-lsp", dw_lsp.__version__, text_document_sync_kind=types.TextDocumentSyncKind.Incremental)
        self.documents = Documents()
        self.configuration = Configuration(self, self._settings_changed)
        self.diagnostics = Diagnostics(
            self.documents,
            lambda: self.configuration.settings.diagnostics.severity,
            self.encoding,
            self.text_document_publish_diagnostics,
            self._have_diagnostics_asked_for,
            self._warm_up_for,
        )
        self.workspace_diagnostics = WorkspaceDiagnostics(
            self.documents,
            self.diagnostics,
            lambda: self.configuration.settings.diagnostics.severity,
            self.encoding,
            lambda: watches_files(self.client_capabilities.workspace),
        )
        self.installed = Installed(self.documents, self.everything_changed)
        self._opened: set[str] = set()
        self.notifications = Notifications(self.protocol, self.encoding, self._shows_progress)
        self.supervisor = Supervisor(self.configuration.settings, self._heard)
        self.commands = Commands(
            self.documents,
            self.diagnostics,
            self.supervisor,
            lambda: self.configuration.settings,
            self.notifications.submitted,
        )
        self.last_runs = LastRuns()
        self._ready = False
        self._told_of_catalogue = False
        self.watches_client = True

    @functools.cached_property
    def proposed(self) -> Proposed:
        """The completions that were given last."""
        from dw_lsp.server.completion import Proposed  # With the first completion, not at the start.

        return Proposed()

    def encoding(self) -> Encoding:
        """How the client counts characters."""
        return encoding_of(self.server_capabilities.position_encoding)

    def _shows_progress(self) -> bool:
        window = self.client_capabilities.window
        return bool(window and window.work_done_progress)

    def _heard(self, event: Event) -> None:
        """Something happened in the worker: the client is told, and what documents are judged by may have changed."""
        self.notifications.tell(event)
        if isinstance(event, WorkerState) and event.state == "starting":
            # Whoever has installed something starts the worker anew; what it will find, we look for, too.
            self.installed.check(at_once=True)
        if isinstance(event, RunFinished):
            self.diagnostics.renew_found("model-not-cached")  # The run may have downloaded it.
            if self.last_runs.take(event):
                self._refresh_what_shows_runs()
        if isinstance(event, MemoryChanged):
            device = Device(event.report.device, event.report.total_bytes)
            if device != self.documents.device:
                self.documents.device = device
                self.everything_changed()

    def file_changed(self, path: Path | None, *, as_folder: bool = False) -> None:
        """A file was changed, on disk or in the editor: what looks at it is judged anew.

        Arguments: `as_folder`: it may be a folder, which came or went with all that is in it.
        """
        self.diagnostics.changed(path, as_folder=as_folder)
        self.workspace_diagnostics.changed(path, as_folder=as_folder)

    def everything_changed(self) -> None:
        """Something changed by which every document is judged: the settings, the folders, what is installed."""
        self.diagnostics.schedule_all()
        self.workspace_diagnostics.changed_all()
        self.refresh_notes()

    def _have_diagnostics_asked_for(self) -> None:
        self.workspace_diagnostic_refresh(None)

    def _refresh_what_shows_runs(self) -> None:
        """Have lenses and notes asked for anew, by a client that can be told to."""
        workspace = self.client_capabilities.workspace
        if workspace and workspace.code_lens and workspace.code_lens.refresh_support:
            self.workspace_code_lens_refresh(None)
        self.refresh_notes()

    def refresh_notes(self) -> None:
        """Have the notes within the text asked for anew: what they say of classes and values lies elsewhere, too."""
        workspace = self.client_capabilities.workspace
        shows = workspace is not None and workspace.inlay_hint is not None and workspace.inlay_hint.refresh_support
        if shows and any(True for _ in self.documents):
            self.workspace_inlay_hint_refresh(None)

    def _settings_changed(self, settings: Settings) -> None:
        self.supervisor.configure(settings)
        self.installed.use(settings)

    async def become_ready(self) -> None:
        """Once the settings are known: warm up, if a workflow is open already."""
        await self.configuration.pull()
        self._ready = True
        self.diagnostics.schedule_all()
        asyncio.get_running_loop().call_later(SETTLED_SECONDS, settle)

    def opened(self, document: Document) -> None:
        """A document was opened: if it turns out to be a workflow, the worker is started ahead of its first run."""
        self._opened.add(document.uri)
        self.diagnostics.schedule(document.uri)

    def forget(self, uri: str) -> None:
        """A document was closed."""
        self._opened.discard(uri)

    def _warm_up_for(self, document: Document) -> None:
        if not self._ready:
            return
        if not self._told_of_catalogue and not self.installed.is_asking:
            self._tell_of_catalogue(document)
        if document.uri not in self._opened:
            return
        self._opened.discard(document.uri)
        self.installed.watch()
        wanted = self.configuration.settings.worker.prewarm == "onOpen"
        if wanted and not self.supervisor.state.pid and _is_small_workflow(document):
            self.supervisor.prewarm()

    def _tell_of_catalogue(self, document: Document) -> None:
        """Say once that names are checked against a small list, where the worker's Python has nothing to read."""
        catalog = self.documents.workspace(document.uri).catalog
        if not catalog.installed and _is_small_workflow(document):
            self._told_of_catalogue = True
            self.tell_user(f"dw-lsp: classes and arguments are checked against {catalog.origin}.")

    def tell_user(self, message: str) -> None:
        """Show a sentence that nobody asked for."""
        self.window_show_message(types.ShowMessageParams(type=types.MessageType.Warning, message=message))

    async def closed(self) -> None:
        """Take the worker along."""
        await self.supervisor.close()


def _is_small_workflow(document: Document) -> bool:
    """Whether it is a workflow of which more is asked than its size."""
    small = len(document.text) <= LARGEST_DOCUMENT
    return small and is_workflow(document.root, document.uri, document.language_id)


def settle() -> None:
    """Import the rest, and let garbage collections pass over what will never be garbage: that alone costs 40 ms a time.

    A large document has 20,000 objects, dropped together at the next key stroke: looking among them sooner is in vain.
    """
    load_all()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    gc.enable()


# ---------------------------------------------------------------- what is answered


def initialize(server: Server, params: types.InitializeParams) -> None:
    uris = [folder.uri for folder in params.workspace_folders or ()]
    if not uris and (root := params.root_uri or params.root_path):
        uris = [root]
    server.documents.folders = tuple(_folder(uri) for uri in uris)
    if _asks_for_diagnostics(params.capabilities):
        # Offered to nobody else: who asks and cannot be told to ask again keeps what is no longer true.
        server.diagnostics.pulled = True
        options = types.DiagnosticOptions(inter_file_dependencies=True, workspace_diagnostics=True, identifier="dw")
        server.feature(types.TEXT_DOCUMENT_DIAGNOSTIC, options)(_bound(document_diagnostic, server))
        server.feature(types.WORKSPACE_DIAGNOSTIC)(_bound(workspace_diagnostic, server))
    server.configuration.initialize(params.initialization_options)
    server.installed.use(server.configuration.settings)


def _asks_for_diagnostics(capabilities: types.ClientCapabilities) -> bool:
    document, workspace = capabilities.text_document, capabilities.workspace
    refreshes = workspace.diagnostics.refresh_support if workspace and workspace.diagnostics else None
    return bool(document and document.diagnostic and refreshes)


async def document_diagnostic(server: Server, params: types.DocumentDiagnosticParams) -> Any:
    """The findings of a document, for a client that asks for them."""
    return await server.diagnostics.report(params.text_document.uri, params.previous_result_id)


async def workspace_diagnostic(
    server: Server, params: types.WorkspaceDiagnosticParams
) -> types.WorkspaceDiagnosticReport:
    """The findings of all workflows in the open folders."""
    return await server.workspace_diagnostics.report(params.previous_result_ids)


def _folder(uri: str) -> Path:
    return path_of(uri) or Path(uri)


async def initialized(server: Server, params: types.InitializedParams) -> None:
    if server.process_id and server.watches_client:
        leave_with(server.process_id, server.leave)
    await server.become_ready()
    wanted = list(registrations(server.client_capabilities.workspace))
    if wanted:
        await server.client_register_capability_async(types.RegistrationParams(registrations=wanted))


async def did_change_configuration(server: Server, params: types.DidChangeConfigurationParams) -> None:
    if server.configuration.pulls:
        await server.configuration.pull()
    else:
        server.configuration.push(params.settings)


def did_change_workspace_folders(server: Server, params: types.DidChangeWorkspaceFoldersParams) -> None:
    removed = {_folder(folder.uri) for folder in params.event.removed}
    added = [_folder(folder.uri) for folder in params.event.added]
    kept = [folder for folder in server.documents.folders if folder not in removed]
    server.documents.folders = tuple(dict.fromkeys([*kept, *added]))
    server.everything_changed()


def did_open(server: Server, params: types.DidOpenTextDocumentParams) -> None:
    item = params.text_document
    document = Document(item.uri, item.text, item.version, str(item.language_id))
    server.documents.open(document)
    server.opened(document)
    server.file_changed(path_of(item.uri))


def did_change(server: Server, params: types.DidChangeTextDocumentParams) -> None:
    identifier = params.text_document
    changes = [change_of(change) for change in params.content_changes]
    if server.documents.change(identifier.uri, changes, server.encoding(), identifier.version) is not None:
        server.diagnostics.schedule(identifier.uri)
        server.file_changed(path_of(identifier.uri))


async def did_save(server: Server, params: types.DidSaveTextDocumentParams) -> None:
    document = server.documents.get(params.text_document.uri)
    if document is None:
        return
    server.diagnostics.renew([document.uri])  # Files may have changed that nobody has told of.
    server.file_changed(path_of(document.uri))
    if server.configuration.settings.run.on_save:
        try:
            await server.commands.run_again(document)
        except JsonRpcException as error:
            server.tell_user(f"Not run on save. {error.message}")


def did_close(server: Server, params: types.DidCloseTextDocumentParams) -> None:
    server.documents.close(params.text_document.uri)
    server.forget(params.text_document.uri)
    server.diagnostics.clear(params.text_document.uri)
    server.file_changed(path_of(params.text_document.uri))


def cancel_progress(server: Server, params: types.WorkDoneProgressCancelParams) -> None:
    run_id = server.notifications.run_of_token(params.token)
    if run_id is not None:
        server.supervisor.cancel(run_id)


async def shutdown(server: Server, params: None) -> None:
    server.asked_to_leave = True
    server.workspace_diagnostics.close()
    await server.supervisor.close()


#: Everything that the server answers, besides the commands and what a client asks of a document (`FEATURES`).
TABLE: dict[str, tuple[Callable[..., Any], Any]] = {
    types.INITIALIZE: (initialize, None),
    types.INITIALIZED: (initialized, None),
    types.SHUTDOWN: (shutdown, None),
    types.WORKSPACE_DID_CHANGE_CONFIGURATION: (did_change_configuration, None),
    types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS: (did_change_workspace_folders, None),
    types.WORKSPACE_DID_CHANGE_WATCHED_FILES: (did_change_watched_files, None),
    types.TEXT_DOCUMENT_DID_OPEN: (did_open, None),
    types.TEXT_DOCUMENT_DID_CHANGE: (did_change, None),
    types.TEXT_DOCUMENT_DID_SAVE: (did_save, types.SaveOptions(include_text=False)),
    types.TEXT_DOCUMENT_DID_CLOSE: (did_close, None),
    types.WINDOW_WORK_DONE_PROGRESS_CANCEL: (cancel_progress, None),
}


def create_server() -> Server:
    """A server that answers everything in the table and carries out the commands."""
    server = Server()
    for method, (function, options) in TABLE.items():
        server.feature(method, options)(_bound(function, server))
    for method, feature in FEATURES.items():
        server.feature(method, feature.options)(_bound_later(feature, server))
    for name in COMMANDS:
        server.command(name)(_command(name))
    return server


def _bound(function: Callable[..., Any], server: Server) -> Callable[..., Any]:
    """The function with the server as its first argument; pygls tells coroutines from others by the function itself.

    Not a copy that shows the signature of the original: seeing a server there, pygls would hand over one more.
    """
    if asyncio.iscoroutinefunction(function):

        async def handle(params: Any = None) -> Any:
            return await function(server, params)

        return handle

    def handle_at_once(params: Any = None) -> Any:
        return function(server, params)

    return handle_at_once


def _bound_later(feature: Feature, server: Server) -> Callable[..., Any]:
    """The same for a function whose module is imported when it is called."""
    if feature.waits:

        async def handle(params: Any = None) -> Any:
            return await feature.load()(server, params)

        return handle

    def handle_at_once(params: Any = None) -> Any:
        return feature.load()(server, params)

    return handle_at_once


def _command(name: str) -> Callable[..., Any]:
    # pygls gives the server to a parameter of this name, and asks nothing of the type of those behind it: of the first
    # one's it would ask whether it is the server's, which Python 3.10 cannot answer for `Any`.
    async def execute(ls: Server, *arguments: Any) -> Any:
        await ls.configuration.known()
        if name in ("dw.run", "dw.plan"):
            await ls.installed.known()
        elif name == "dw.restart":
            ls.installed.look_anew()
        return await ls.commands.execute(name, arguments)

    return execute
