"""Every feature in sessions with the capabilities of real editors; each reply is checked against what they declare."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_lsp
from lsprotocol import types
from pytest_lsp import ClientServerConfig, LanguageClient

pytestmark = [pytest.mark.timeout(120)]
VARIABLE, STEP = "größe_😀", "zeichnen 😀"
FLOW = json.dumps(
    {
        "id": "flow",
        "variables": {VARIABLE: 64, "ümlaut": "unused"},
        "steps": [
            {
                "name": STEP,
                "task": {
                    "command": "qr_code",
                    "arguments": {"qr_code_contents": "😀", "width": f"variable:{VARIABLE}"},
                },
                "result": {"content_type": "image/png", "save": False},
            },
            {
                "name": "schneiden",
                "task": {"command": "crop_square", "arguments": {"image": f"previous_result:{STEP}"}},
                "result": {"content_type": "image/png"},
            },
            {"name": "rufen", "workflow": {"path": "./kind.dw.json", "arguments": {"ziel": "😀"}}},
        ],
    },
    ensure_ascii=False,
)
CHILD = json.dumps(
    {
        "id": "kind",
        "variables": {"ziel": "x"},
        "steps": [{"name": "a", "task": {"command": "gather_inputs", "inputs": ["variable:ziel"]}}],
    }
)
#: How each way of counting is encoded, and how many bytes one unit has.
UNITS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}
COMMAND = [sys.executable, "-m", "dw_lsp", "serve", "--stdio"]
#: What editors that declare it are told when something shown may have changed: when that is depends on the machine.
REFRESHES = (
    types.WORKSPACE_CODE_LENS_REFRESH,
    types.WORKSPACE_INLAY_HINT_REFRESH,
    types.WORKSPACE_SEMANTIC_TOKENS_REFRESH,
)


def make_client() -> LanguageClient:
    """A client that takes registrations, as every editor that declares them does."""
    made = pytest_lsp.make_test_lsp_client()

    @made.feature(types.CLIENT_REGISTER_CAPABILITY)
    def register(client: LanguageClient, params: types.RegistrationParams) -> None:
        """Nothing has to come of it."""

    def ask_again(client: LanguageClient, params: None) -> None:
        """These clients ask for what they need when a test does."""

    for refresh in REFRESHES:
        made.feature(refresh)(ask_again)
    return made


CONFIG = ClientServerConfig(server_command=COMMAND, client_factory=make_client)


@pytest_lsp.fixture(config=CONFIG, params=["neovim", "visual-studio-code", "emacs"])
async def editor(
    request: pytest.FixtureRequest, lsp_client: LanguageClient, tmp_path: Path
) -> AsyncIterator[LanguageClient]:
    """A session of one editor with a workflow of one line open, full of letters that are counted in different ways."""
    (tmp_path / "kind.dw.json").write_text(CHILD, encoding="utf-8")
    lsp_client.uri = (tmp_path / "flow.dw.json").as_uri()
    lsp_client.set_configuration({"dw": {"worker": {"prewarm": "onRun"}}})
    result = await lsp_client.initialize_session(
        types.InitializeParams(
            capabilities=pytest_lsp.client_capabilities(request.param),
            workspace_folders=[types.WorkspaceFolder(uri=tmp_path.as_uri(), name="flows")],
            initialization_options={"worker": {"prewarm": "onRun"}},
        )
    )
    lsp_client.codec, lsp_client.unit = UNITS[result.capabilities.position_encoding or "utf-16"]
    item = types.TextDocumentItem(uri=lsp_client.uri, language_id="json", version=1, text=FLOW)
    lsp_client.text_document_did_open(types.DidOpenTextDocumentParams(text_document=item))
    yield lsp_client
    await lsp_client.shutdown_session()


def width(editor: LanguageClient, text: str) -> int:
    """How many units the session counts in a text."""
    return len(text.encode(editor.codec)) // editor.unit


def at(editor: LanguageClient, written: str, inside: int = 2) -> dict[str, Any]:
    place = types.Position(line=0, character=width(editor, FLOW[: FLOW.index(written) + inside]))
    return {"text_document": types.TextDocumentIdentifier(uri=editor.uri), "position": place}


def text_at(editor: LanguageClient, place: types.Range) -> str:
    """The text of a range, cut out in the session's units."""
    assert place.start.line == place.end.line == 0
    start, end = place.start.character, place.end.character
    return FLOW.encode(editor.codec)[start * editor.unit : end * editor.unit].decode(editor.codec)


async def diagnostics(editor: LanguageClient) -> list[types.Diagnostic]:
    while editor.uri not in editor.diagnostics:
        await editor.wait_for_notification(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
    return list(editor.diagnostics[editor.uri])


async def test_the_session_counts_as_the_editor_does(editor: LanguageClient, request: pytest.FixtureRequest) -> None:
    wanted = {"neovim": "utf-8", "visual-studio-code": "utf-16-le", "emacs": "utf-32-le"}
    assert editor.codec == wanted[request.node.callspec.params["editor"]]


async def test_diagnostics_stand_at_their_words(editor: LanguageClient) -> None:
    (unused,) = await diagnostics(editor)
    assert (unused.code, text_at(editor, unused.range)) == ("unused-variable", '"ümlaut"')


async def test_completion_and_hover(editor: LanguageClient) -> None:
    params = types.CompletionParams(**at(editor, f'"variable:{VARIABLE}"', len('"variable:')))
    found = await editor.text_document_completion_async(params)
    items = found.items if isinstance(found, types.CompletionList) else found or []
    (item,) = [item for item in items if VARIABLE in item.label]
    resolved = await editor.completion_item_resolve_async(item)
    assert resolved.label == item.label
    shown = await editor.text_document_hover_async(types.HoverParams(**at(editor, f'"variable:{VARIABLE}"')))
    assert shown is not None and shown.range is not None
    assert text_at(editor, shown.range) == f'"variable:{VARIABLE}"' and "64" in str(shown.contents)


async def test_signature_lenses_and_notes(editor: LanguageClient) -> None:
    help_shown = await editor.text_document_signature_help_async(types.SignatureHelpParams(**at(editor, '"width"')))
    assert help_shown is not None and help_shown.signatures[0].label.startswith("qr_code(")
    identifier = types.TextDocumentIdentifier(uri=editor.uri)
    lenses = await editor.text_document_code_lens_async(types.CodeLensParams(text_document=identifier))
    assert [lens.command.title for lens in lenses or () if lens.command][:2] == ["Run Workflow", "Run to here"]
    whole = types.Range(start=types.Position(line=0, character=0), end=types.Position(line=1, character=0))
    hints = await editor.text_document_inlay_hint_async(types.InlayHintParams(text_document=identifier, range=whole))
    assert [hint.label for hint in hints or ()] == ["= 64"]


async def test_definition_references_and_highlights(editor: LanguageClient) -> None:
    place = at(editor, f'"previous_result:{STEP}"', len('"previous_result:z'))
    found = await editor.text_document_definition_async(types.DefinitionParams(**place))
    (target,) = found if isinstance(found, list) else [found]
    where = target.target_selection_range if isinstance(target, types.LocationLink) else target.range
    assert text_at(editor, where).strip('"') == STEP
    context = types.ReferenceContext(include_declaration=True)
    uses = await editor.text_document_references_async(types.ReferenceParams(context=context, **place))
    assert [text_at(editor, use.range).strip('"') for use in uses or ()] == [STEP, STEP]
    marked = await editor.text_document_document_highlight_async(types.DocumentHighlightParams(**place))
    assert {each.kind for each in marked or ()} == {types.DocumentHighlightKind.Write, types.DocumentHighlightKind.Read}


async def test_rename(editor: LanguageClient) -> None:
    place = at(editor, f'"{VARIABLE}"')
    assert await editor.text_document_prepare_rename_async(types.PrepareRenameParams(**place)) is not None
    edit = await editor.text_document_rename_async(types.RenameParams(new_name="breite", **place))
    assert edit is not None
    changes = [change for each in edit.document_changes or () for change in each.edits]  # type: ignore[union-attr]
    changes += [change for each in (edit.changes or {}).values() for change in each]
    assert [text_at(editor, change.range).strip('"') for change in changes] == [VARIABLE, VARIABLE]


async def test_structure(editor: LanguageClient) -> None:
    identifier = types.TextDocumentIdentifier(uri=editor.uri)
    symbols = await editor.text_document_document_symbol_async(types.DocumentSymbolParams(text_document=identifier))
    assert STEP in json.dumps([symbol.name for symbol in symbols or ()] + _children(symbols), ensure_ascii=False)
    assert (
        await editor.text_document_folding_range_async(types.FoldingRangeParams(text_document=identifier)) is not None
    )
    links = await editor.text_document_document_link_async(types.DocumentLinkParams(text_document=identifier))
    assert [text_at(editor, link.range).strip('"') for link in links or ()] == ["./kind.dw.json"]
    place = at(editor, STEP)["position"]
    params = types.SelectionRangeParams(text_document=identifier, positions=[place])
    (selection,) = await editor.text_document_selection_range_async(params) or ()
    assert text_at(editor, selection.range) == STEP
    tokens = await editor.text_document_semantic_tokens_full_async(types.SemanticTokensParams(text_document=identifier))
    assert tokens is not None and len(tokens.data) % 5 == 0 and tokens.data
    found = await editor.workspace_symbol_async(types.WorkspaceSymbolParams(query="schnei"))
    assert [symbol.name for symbol in found or ()] == ["schneiden"]


def _children(symbols: Any) -> list[str]:
    return [child.name for symbol in symbols or () for child in getattr(symbol, "children", None) or ()]


async def test_actions_and_formatting(editor: LanguageClient) -> None:
    (unused,) = await diagnostics(editor)
    identifier = types.TextDocumentIdentifier(uri=editor.uri)
    context = types.CodeActionContext(diagnostics=[unused])
    params = types.CodeActionParams(text_document=identifier, range=unused.range, context=context)
    actions = await editor.text_document_code_action_async(params)
    assert any(isinstance(each, types.CodeAction) and each.edit is not None for each in actions or ())
    options = types.FormattingOptions(tab_size=2, insert_spaces=True)
    edits = await editor.text_document_formatting_async(
        types.DocumentFormattingParams(text_document=identifier, options=options)
    )
    assert edits


async def test_calls_between_workflows(editor: LanguageClient) -> None:
    place = at(editor, '"./kind.dw.json"')
    (item, *_) = (
        await editor.text_document_prepare_call_hierarchy_async(types.CallHierarchyPrepareParams(**place)) or ()
    )
    incoming = await editor.call_hierarchy_incoming_calls_async(types.CallHierarchyIncomingCallsParams(item=item))
    assert [call.from_.uri for call in incoming or ()] == [editor.uri]
