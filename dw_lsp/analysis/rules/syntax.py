"""Rules on the text as JSON."""

from __future__ import annotations

from collections.abc import Iterator

from dw_lsp.analysis.findings import Finding, Fix, Related, Rule
from dw_lsp.analysis.rules.context import Context, finding
from dw_lsp.analysis.rules.fixes.structure import fix_duplicate_key
from dw_lsp.text.syntax_tree import Member, Object, Range, walk

SYNTAX = Rule(
    "syntax",
    "error",
    "The text is not JSON.",
    "Nothing can run a file that cannot be read. Comments and trailing commas are allowed; the rest of the document is "
    "still checked.",
    '{ "id": "harbour" "steps": [] }',
    "Put in what the message says is missing, here a comma.",
)
DUPLICATE_KEY = Rule(
    "duplicate-key",
    "error",
    "A key stands twice in one object.",
    "Readers of JSON keep the last value and drop the others without a word.",
    '{ "width": 512, "width": 768 }',
    "Remove or rename one of them.",
)


def syntax(context: Context) -> Iterator[Finding]:
    """One finding for each mistake that the parser had to overcome."""
    length = len(context.document.text)
    for problem in context.document.parsed.problems:
        start, end = problem.range.start, problem.range.end
        if start == end and length:  # An empty range is hard to see: take the character before it.
            start = max(0, min(start, length) - 1)
            end = start + 1
        mend = problem.mend
        fixes = (Fix(mend.title, mend.edits, preferred=True, safe=mend.certain),) if mend is not None else ()
        yield finding(SYNTAX, Range(start, end), problem.message, fixes=fixes)


def duplicate_key(context: Context) -> Iterator[Finding]:
    """Each repetition of a key, with the place of the first."""
    root = context.document.root
    for node in () if root is None else walk(root):
        if isinstance(node, Object) and node.has_repeated_key:
            yield from _repetitions(context.document.text, node)


def _repetitions(text: str, node: Object) -> Iterator[Finding]:
    first: dict[str, Member] = {}
    last: dict[str, Member] = {}
    for member in node.members:
        name = member.key.value
        earlier = first.setdefault(name, member)
        if earlier is not member:
            yield finding(
                DUPLICATE_KEY,
                member.key.range,
                f"`{name}` stands twice in this object; only the last one would count.",
                (Related(earlier.key.range, "the first one"),),
                fixes=fix_duplicate_key(text, node, last[name], member),
            )
        last[name] = member
