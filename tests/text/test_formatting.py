"""The layout of documents: the style, what is kept, and that doing it twice changes nothing more."""

from __future__ import annotations

import os
import random
import re
from pathlib import Path

import pytest

from dw_lsp.text.document import Document
from dw_lsp.text.edits import apply_edits
from dw_lsp.text.formatting import format_document
from dw_lsp.text.lexer import lex
from dw_lsp.text.syntax_tree import Range, to_value

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(os.environ.get("DW_TEST_CORPUS", ROOT.parent / "shared" / "corpus"))
FILES = [
    *sorted((ROOT / "workflows").glob("*.dw.json")),
    *sorted((ROOT / "tests" / "data" / "workflows").glob("*.dw.json")),
    *sorted(CORPUS.rglob("*.json")),
]

UNTIDY = """

{ // flow
"id":"x"  ,
      "list":[1,2,   3],
  "sizes": [[1, 2], [3, 4]],
  "empty": {   }, "none": [

  ],


  // about the steps
  "steps": [{"name": "a", "task": {"command": "x"}}, /* second */ {"name": "b"} // end
  ],
  "object": {"a": 1, "b": null} /* after */, "c": {
  "d": 1 }
  // last
}"""
TIDY = """{ // flow
  "id": "x",
  "list": [1, 2, 3],
  "sizes": [
    [1, 2],
    [3, 4]
  ],
  "empty": {},
  "none": [],

  // about the steps
  "steps": [
    {
      "name": "a",
      "task": { "command": "x" }
    },
    /* second */ { "name": "b" } // end
  ],
  "object": { "a": 1, "b": null } /* after */,
  "c": {
    "d": 1
  }
  // last
}
"""


def formatted(text: str, unit: str = "  ", within: Range | None = None) -> str:
    return apply_edits(text, format_document(Document("file:///x.json", text), unit, within))


def test_the_style() -> None:
    assert formatted(UNTIDY) == TIDY


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
def test_line_ends_stay_those_of_the_document(newline: str) -> None:
    assert formatted(UNTIDY.replace("\n", newline)) == TIDY.replace("\n", newline)


@pytest.mark.parametrize("unit", ["    ", "\t"])
def test_the_client_may_ask_for_another_indentation(unit: str) -> None:
    assert formatted(UNTIDY, unit) == re.sub("^(  )+", lambda run: unit * (len(run.group()) // 2), TIDY, flags=re.M)


def test_a_tidy_document_needs_no_edits() -> None:
    assert format_document(Document("file:///x.json", TIDY)) == ()


def test_what_does_not_fit_on_a_line_is_parted() -> None:
    fits = '{\n  "a": [' + ", ".join(["10000"] * 13) + "]\n}\n"
    assert formatted(fits) == fits and max(map(len, fits.splitlines())) <= 100
    too_long = fits.replace("]", ", 10000]")
    assert formatted(too_long).count("\n") == too_long.count("\n") + 15


@pytest.mark.parametrize(
    "text", ["{ /* a */ }", "[ // a\n]", '{"a": /* b */ 1}', "// only\n[1] // end", "/* a */ /* b */ {}", "\ufeff{}"]
)
def test_comments_stay_at_any_place(text: str) -> None:
    once = formatted(text)
    assert formatted(once) == once
    assert re.sub(r"\s", "", once) == re.sub(r"\s", "", text)


@pytest.mark.parametrize("text", ["", '{ "a" 1 }', '{ "a": [1, 2 }', '{ "a": "x }', "/* open", "[1 2]", "[1] 2"])
def test_a_document_with_mistakes_is_left_alone(text: str) -> None:
    assert format_document(Document("file:///x.json", text)) == ()


def test_only_the_lines_asked_for_are_laid_out() -> None:
    text = '{\n"a":1,\n"b":2,\n"c":3\n}\n'
    start = text.index('"b"')
    assert formatted(text, within=Range(start, start + 5)) == '{\n"a":1,\n  "b": 2,\n"c":3\n}\n'


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_real_files_keep_their_tokens_and_are_laid_out_once(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    once = formatted(text)
    assert formatted(once) == once and once.endswith("}\n")
    before, after = Document("", text).root, Document("", once).root
    assert before is not None and after is not None and to_value(before) == to_value(after)


def test_white_space_of_any_kind_ends_in_one_layout() -> None:
    source = random.Random(8)
    tokens = [UNTIDY[token.start : token.end] for token in lex(UNTIDY).tokens]
    for _ in range(200):
        parts = []
        for token in tokens:
            parts += [token, source.choice(["", " ", "\n", "\n\n\n", "\t", "/* c */", " // c\n", "\n// c\n", "/*\n*/"])]
        text = "".join(parts)
        once = formatted(text)
        assert formatted(once) == once, text
        assert re.sub(r"\s", "", once) == re.sub(r"\s", "", text)
