"""Files that change on disk: what the client is asked to tell of, and whom it concerns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lsprotocol import types

from dw_lsp.text.document import path_of

if TYPE_CHECKING:
    from dw_lsp.server.app import Server

#: Files whose content may concern an open workflow: other workflows, what describes a model, weights.
READ = ("json", "jsonc", "safetensors", "gguf")


def watches_files(workspace: types.WorkspaceClientCapabilities | None) -> bool:
    """Whether the client can be asked to tell of files that change."""
    return bool(
        workspace and workspace.did_change_watched_files and workspace.did_change_watched_files.dynamic_registration
    )


def registrations(workspace: types.WorkspaceClientCapabilities | None) -> Iterator[types.Registration]:
    """What a client is asked to tell, as far as it can be asked."""
    if workspace and workspace.did_change_configuration and workspace.did_change_configuration.dynamic_registration:
        yield types.Registration(
            id="dw-configuration", method=types.WORKSPACE_DID_CHANGE_CONFIGURATION, register_options={"section": "dw"}
        )
    if watches_files(workspace):
        watchers = [
            types.FileSystemWatcher(glob_pattern=f"**/*.{{{','.join(READ)}}}", kind=types.WatchKind.Change),
            # Of a folder that is put somewhere or taken away, clients tell by its own name, not by those inside.
            types.FileSystemWatcher(glob_pattern="**/*", kind=types.WatchKind.Create | types.WatchKind.Delete),
        ]
        options = types.DidChangeWatchedFilesRegistrationOptions(watchers=watchers)
        yield types.Registration(
            id="dw-files", method=types.WORKSPACE_DID_CHANGE_WATCHED_FILES, register_options=options
        )


def did_change_watched_files(server: Server, params: types.DidChangeWatchedFilesParams) -> None:
    """Files were changed, came or went."""
    described = False
    for change in params.changes:
        path = path_of(change.uri)
        if path is None:
            continue
        content = change.type == types.FileChangeType.Changed
        if content and server.documents.at(path) is not None:
            continue  # It was saved: its text is known from the editor.
        server.file_changed(path, as_folder=not content)
        described = described or path.suffix == ".json"
    if described:
        server.refresh_notes()
