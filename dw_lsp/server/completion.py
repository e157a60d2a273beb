"""Completion as clients ask for it: the proposals at once, what is to be said of one when it is looked at."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

from lsprotocol import types

from dw_lsp.analysis.completion.complete import complete, documentation_of
from dw_lsp.analysis.completion.items import Completions, Item, Kind
from dw_lsp.analysis.completion.skeletons import plain
from dw_lsp.analysis.diagnose import LARGEST_DOCUMENT
from dw_lsp.server.convert import lsp_range
from dw_lsp.server.diagnostics import is_large
from dw_lsp.text.document import Document
from dw_lsp.text.edits import Edit
from dw_lsp.text.positions import Encoding, Position

if TYPE_CHECKING:
    from dw_lsp.server.app import Server

#: Lists whose items may still be asked about.
_KEPT_LISTS = 4
_KINDS: dict[Kind, types.CompletionItemKind] = {
    "key": types.CompletionItemKind.Property,
    "value": types.CompletionItemKind.Value,
    "choice": types.CompletionItemKind.EnumMember,
    "class": types.CompletionItemKind.Class,
    "argument": types.CompletionItemKind.Field,
    "variable": types.CompletionItemKind.Variable,
    "step": types.CompletionItemKind.Reference,
    "command": types.CompletionItemKind.Function,
    "file": types.CompletionItemKind.File,
    "folder": types.CompletionItemKind.Folder,
    "model": types.CompletionItemKind.Module,
    "skeleton": types.CompletionItemKind.Snippet,
}


class Proposed:
    """The lists that were given last, so that their items can be asked about."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._lists: dict[int, tuple[str, Completions]] = {}

    def keep(self, uri: str, completions: Completions) -> int:
        """Keep a list. Gives its number."""
        number = next(self._numbers)
        self._lists[number] = (uri, completions)
        self._lists.pop(number - _KEPT_LISTS, None)
        return number

    def find(self, data: object) -> tuple[str, Item] | None:
        """The document and the item that the data of an item name; `None` when its list is no longer kept."""
        if not isinstance(data, (list, tuple)) or len(data) != 2 or not all(isinstance(part, int) for part in data):
            return None
        uri, completions = self._lists.get(data[0], ("", None))
        if completions is None or not 0 <= data[1] < len(completions.items):
            return None
        return uri, completions.items[data[1]]


async def complete_at(server: Server, params: types.CompletionParams) -> types.CompletionList | None:
    """The proposals at a position."""
    document = server.documents.get(params.text_document.uri)
    if document is None or len(document.text) > LARGEST_DOCUMENT:
        return None
    encoding, position = server.encoding(), params.position
    offset = document.lines.offset(Position(position.line, position.character), encoding)
    workspace = server.documents.workspace(document.uri)
    trigger = params.context.trigger_character if params.context is not None else None
    if is_large(document):
        found = await asyncio.to_thread(complete, document, offset, workspace, trigger)
    else:
        found = complete(document, offset, workspace, trigger)
    number = server.proposed.keep(document.uri, found)
    converter = _Converter(document, encoding, _capabilities(server))
    items = [converter.item(item, [number, place]) for place, item in enumerate(found.items)]
    return types.CompletionList(is_incomplete=found.is_incomplete, items=items)


async def resolve(server: Server, item: types.CompletionItem) -> types.CompletionItem:
    """The item with its documentation."""
    found = server.proposed.find(item.data)
    if found is None:
        return item
    uri, known = found
    text = await asyncio.to_thread(documentation_of, known, server.documents.workspace(uri))
    if text:
        formats = _capabilities(server).documentation_format or ()
        markdown = types.MarkupKind.Markdown in formats
        kind = types.MarkupKind.Markdown if markdown else types.MarkupKind.PlainText
        item.documentation = types.MarkupContent(kind=kind, value=text) if formats else text
    return item


def _capabilities(server: Server) -> types.ClientCompletionItemOptions:
    """What the client understands of items."""
    document = server.client_capabilities.text_document
    known = document.completion.completion_item if document and document.completion else None
    return known or types.ClientCompletionItemOptions()


class _Converter:
    """Makes items of one document as its client understands them."""

    def __init__(self, document: Document, encoding: Encoding, capabilities: types.ClientCompletionItemOptions):
        self._document, self._encoding, self._can = document, encoding, capabilities
        tags, modes = capabilities.tag_support, capabilities.insert_text_mode_support
        self._tags = tags is not None and types.CompletionItemTag.Deprecated in tags.value_set
        self._adjusts = modes is not None and types.InsertTextMode.AdjustIndentation in modes.value_set

    def item(self, item: Item, data: list[int]) -> types.CompletionItem:
        """An item. Arguments: `data` finds it again."""
        snippet = item.snippet and bool(self._can.snippet_support)
        lines = "\n" in item.text
        text = item.text if snippet else self._plain(item)
        return types.CompletionItem(
            label=item.label,
            kind=_KINDS[item.kind],
            detail=item.detail or None,
            tags=[types.CompletionItemTag.Deprecated] if item.deprecated and self._tags else None,
            deprecated=True if item.deprecated and not self._tags and self._can.deprecated_support else None,
            sort_text=item.sort_text,
            filter_text=item.filter_text if item.filter_text != item.label else None,
            insert_text_format=types.InsertTextFormat.Snippet if snippet else None,
            insert_text_mode=types.InsertTextMode.AdjustIndentation if lines and snippet and self._adjusts else None,
            text_edit=types.TextEdit(range=lsp_range(self._document.lines, item.range, self._encoding), new_text=text),
            additional_text_edits=[self._edit(edit) for edit in item.extra] or None,
            data=data,
        )

    def _plain(self, item: Item) -> str:
        """The text for clients that put it in as it is: nothing to fill in, every line indented."""
        if not item.snippet:
            return item.text
        line = self._document.lines.line_of(item.range.start)
        written = self._document.lines.line_text(line)
        indent = written[: len(written) - len(written.lstrip(" \t"))]
        return plain(item.text).replace("\n", "\n" + indent)

    def _edit(self, edit: Edit) -> types.TextEdit:
        return types.TextEdit(range=lsp_range(self._document.lines, edit.range, self._encoding), new_text=edit.text)
