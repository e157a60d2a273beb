"""Words that mean something, each by its text and its type."""

from __future__ import annotations

import itertools

import pytest

from dw_lsp.analysis.semantic_tokens import TOKEN_MODIFIERS, TOKEN_TYPES, semantic_tokens
from dw_lsp.text.document import Document
from dw_lsp.text.syntax_tree import Range


def tokens(inside: str, within: Range | None = None) -> list[tuple[str, str]]:
    """Tokens of arguments."""
    text = f'{{"steps": [{{"pipeline": {{"arguments": {{{inside}}}}}}}, {{"name": "a.b"}}]}}'
    found = semantic_tokens(Document("file:///a.dw.json", text), within)
    return [(text[token.range.start : token.range.end], token.type) for token in found][:-1]


@pytest.mark.parametrize(
    ("inside", "found"),
    [
        ('"x": "variable:name"', [("variable:", "keyword"), ("name", "variable")]),
        ('"x": "previous_result:s"', [("previous_result:", "keyword"), ("s", "function")]),
        (
            '"x": "previous_result:a.b.mask"',
            [("previous_result:", "keyword"), ("a.b", "function"), ("mask", "property")],
        ),
        ('"x": "gather:s"', [("gather:", "keyword"), ("s", "function")]),
        ('"reference_name": "a.b"', [("a.b", "function")]),
        ('"from_previous_result": "s.mask"', [("s", "function"), ("mask", "property")]),
        ('"x": "constant:m.NAME"', [("constant:", "keyword"), ("m.NAME", "variable")]),
        ('"x": "item:prompt"', [("item:", "keyword"), ("prompt", "property")]),
        ('"x": "item:"', [("item:", "keyword")]),
        ('"x": "asset:a.png"', [("asset:", "keyword")]),
        ('"torch_dtype": "torch.bfloat16"', [("torch", "namespace"), ("bfloat16", "type")]),
        ('"component_type": "FluxPipeline"', [("FluxPipeline", "class")]),
        ('"component_type": "a.b.C"', [("a.b", "namespace"), ("C", "class")]),
        ('"weights_dtype": "{int8}"', [("{int8}", "enumMember")]),
        ('"x_type": "variable:t"', [("variable:", "keyword"), ("t", "variable")]),
        ('"content_type": "image/png"', []),
        ('"prompt": "a cat, variable:x"', []),
        ('"x": "variable:\\u006eame"', [("variable:", "keyword"), ("\\u006eame", "variable")]),
        ('"x": "variable:"', [("variable:", "keyword")]),
    ],
)
def test_words_of_an_argument(inside: str, found: list[tuple[str, str]]) -> None:
    assert tokens(inside) == found


def test_declarations_and_commands() -> None:
    text = '{"variables": {"v": 1}, "steps": [{"name": "s", "task": {"command": "canny_cv"}}]}'
    found = semantic_tokens(Document("file:///a.dw.json", text))
    assert [(text[t.range.start : t.range.end], t.type, t.modifiers) for t in found] == [
        ("v", "variable", ("declaration",)),
        ("s", "function", ("declaration",)),
        ("canny_cv", "method", ()),
    ]


def test_tokens_of_a_stretch() -> None:
    text = '{"variables": {"v": 1, "w": 2}, "steps": []}'
    found = semantic_tokens(Document("file:///a.dw.json", text), Range(text.index('"w'), len(text)))
    assert [text[token.range.start : token.range.end] for token in found] == ["w"]


def test_tokens_never_overlap_and_stay_on_their_line() -> None:
    text = '{"variables": {"a": "variable:a",\n "steps": [{"name": "s", "x_type": "variable:b.c\n}, "name": "gather:'
    for length in range(len(text)):
        found = semantic_tokens(Document("file:///a.dw.json", text[:length]))
        for token, following in itertools.pairwise(found):
            assert token.range.end <= following.range.start
        assert all("\n" not in text[token.range.start : token.range.end] for token in found)


def test_every_type_has_its_place_in_the_legend() -> None:
    assert len(set(TOKEN_TYPES)) == len(TOKEN_TYPES)
    assert TOKEN_MODIFIERS[0] == "declaration"


def test_other_documents_have_none() -> None:
    assert semantic_tokens(Document("file:///a.json", '{"x": "variable:y"}')) == ()
