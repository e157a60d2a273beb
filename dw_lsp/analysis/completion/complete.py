"""The entry to completion: from a cursor to items."""

from __future__ import annotations

from collections.abc import Sequence

from dw_lsp.analysis.completion.items import NOTHING, Candidate, Completions, Item
from dw_lsp.analysis.completion.keys import key_candidates
from dw_lsp.analysis.completion.scene import Scene, model_of
from dw_lsp.analysis.completion.skeletons import Blank, Tree, escaped, has_blanks, plain, snippet_of
from dw_lsp.analysis.completion.spot import Spot, spot_of
from dw_lsp.analysis.completion.trees import step_tree
from dw_lsp.analysis.completion.values import value_candidates
from dw_lsp.analysis.workspace import Workspace
from dw_lsp.text.document import Document
from dw_lsp.text.syntax_tree import Object, Range
from dw_lsp.text.writing import WIDEST, quote, style_of
from dw_lsp.workflow.model import Workflow
from dw_lsp.workflow.recognition import LANGUAGE_ID, SUFFIXES

#: Items beyond which the rest waits for more letters.
MOST_ITEMS = 300
#: Characters after which nothing is proposed unless something new begins there.
_SEPARATORS = (" ", ",")
_NO_WORKFLOW = Workflow(Object(Range(0, 0)), (), (), ())


def complete(
    document: Document, offset: int, workspace: Workspace, trigger: str | None = None, most: int = MOST_ITEMS
) -> Completions:
    """What may stand at a cursor.

    Arguments: `trigger` is the character that was typed just before, if it was one that asks; `most` items are given.
    """
    spot = spot_of(document, offset)
    if spot is None or (trigger in _SEPARATORS and spot.quote):
        return NOTHING
    if spot.asked == "document":
        return _new_document(document, spot, workspace)
    workflow = model_of(spot.document)
    if workflow is None:
        return NOTHING
    scene = Scene(spot, workspace, workflow)
    candidates = list(key_candidates(scene)) if spot.asked == "key" else value_candidates(scene)
    return _completions(spot, candidates, most)


def documentation_of(item: Item, workspace: Workspace) -> str:
    """What is to be said of an item, in Markdown; a class is read for it."""
    if item.entry is None:
        return item.documentation
    source = workspace.catalog.source(item.entry)
    parts = [f"`{item.entry.module}.{item.entry.name}`", source.summary if source is not None else ""]
    return "\n\n".join(part for part in parts if part)


def _new_document(document: Document, spot: Spot, workspace: Workspace) -> Completions:
    """A whole workflow, for a document in which nothing stands yet."""
    if document.language_id != LANGUAGE_ID and not document.uri.lower().endswith(SUFFIXES):
        return NOTHING
    from_nothing = Scene(spot, workspace, _NO_WORKFLOW)
    steps: list[Tree] = [step_tree(from_nothing, "pipeline")]
    tree: Tree = {"id": Blank("workflow"), "variables": {"prompt": Blank("")}, "steps": steps}
    return _completions(spot, [Candidate("workflow", "skeleton", tree, "a new workflow")], 1)


# ---------------------------------------------------------------- candidates to items


def _completions(spot: Spot, candidates: Sequence[Candidate], most: int) -> Completions:
    if " " in spot.typed:  # Prose: only what really goes on like it.
        candidates = [each for each in candidates if each.label.startswith(spot.typed)]
    incomplete = len(candidates) > most
    if incomplete:
        candidates = [each for each in candidates if _may_be_meant(each, spot.typed)]
    if incomplete and spot.typed:
        ordered = sorted(candidates, key=lambda each: (each.rank, _distance(each, spot.typed), len(each.label)))
    else:
        ordered = sorted(candidates, key=lambda each: each.rank)
    writer = _Writer(spot)
    items = tuple(writer.item(candidate, place) for place, candidate in enumerate(ordered[:most]))
    return Completions(items, incomplete)


def _may_be_meant(candidate: Candidate, typed: str) -> bool:
    """Whether the letters that are typed occur in their order."""
    letters = iter(candidate.label.lower())
    return all(letter in letters for letter in typed.lower())


def _distance(candidate: Candidate, typed: str) -> int:
    """How far what is typed lies from how a name begins."""
    lowered, label, short = typed.lower(), candidate.label.lower(), candidate.short.lower()
    if label.startswith(lowered) or short.startswith(lowered):
        return 0
    return 1 if lowered in label else 2


class _Writer:
    """Makes the items of one spot."""

    def __init__(self, spot: Spot):
        self.spot = spot
        text, container = spot.document.text, spot.place.container
        self._unit = style_of(text).unit
        # What comes into a container on one line stands on that line, too.
        self._one_line = container is not None and "\n" not in text[container.range.start : container.range.end]

    def item(self, candidate: Candidate, place: int) -> Item:
        """The item of a candidate. Arguments: its place in the list."""
        spot = self.spot
        content = candidate.goes_on and spot.closed and spot.asked == "value"
        snippet, at = self._text(candidate, content), spot.range
        if content:
            at = Range(at.start + 1, at.end - 1)
        blanks = has_blanks(snippet)
        return Item(
            candidate.label,
            candidate.kind,
            at,
            snippet if blanks else plain(snippet),
            blanks,
            self._filter(candidate, content),
            f"{place:04}",
            candidate.detail,
            candidate.documentation,
            candidate.deprecated,
            spot.extra,
            candidate.entry,
        )

    def _text(self, candidate: Candidate, content: bool) -> str:
        spot = self.spot
        if content:
            return escaped(quote(str(candidate.tree))[1:-1])
        comma = ("," if spot.comma else "") + spot.trail
        if spot.asked != "key":
            return escaped(spot.lead) + self._value(candidate) + comma
        key = escaped(spot.lead + quote(candidate.label))
        if spot.followed or not spot.colon:
            return key + (": " if spot.colon else "")
        return f"{key}: {self._value(candidate)}{comma}"

    def _value(self, candidate: Candidate) -> str:
        if candidate.goes_on and isinstance(candidate.tree, str):
            return '"' + escaped(quote(candidate.tree)[1:-1]) + '$0"'
        if self._one_line:
            written = snippet_of(candidate.tree, self._unit, one_line=True)
            if len(plain(written)) <= WIDEST:
                return written
        return snippet_of(candidate.tree, self._unit, one_line=False)

    def _filter(self, candidate: Candidate, content: bool) -> str:
        """What a client compares with what is typed: the name, with its quote where one is typed already."""
        typed = self.spot.typed
        named = candidate.label
        if (
            candidate.short
            and typed
            and not _begins_alike(named, typed)
            and candidate.short.lower().startswith(typed.lower())
        ):
            named = candidate.short
        return ("" if content else self.spot.quote) + named


def _begins_alike(label: str, typed: str) -> bool:
    return label.lower().startswith(typed.lower())
