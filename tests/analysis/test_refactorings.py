"""Values made into variables and back. In the texts | stands for the cursor, two of them for a selection."""

from __future__ import annotations

import pytest

from dw_lsp.analysis.code_actions import Action
from dw_lsp.analysis.refactorings import extract_variable, inline_variable
from dw_lsp.text.document import Document
from dw_lsp.text.edits import apply_edits
from dw_lsp.text.syntax_tree import Range

FLOW = """{
  "id": "flow",
  "variables": {
    "prompt": "🙂 a cat",
    "sizes": [
      1,
      2
    ]
  },
  "steps": [
    {
      "name": "draw",
      "task": {
        "command": "gather_inputs",
        "arguments": {
          "prompt": "variable:prompt",
          "negative_prompt": "variable:prompt",
          "sizes": "variable:sizes",
          "width": 512,
          "options": { "width": 512, "height": 512.0 },
          "image": "previous_result:draw",
          "list": ["x", "previous_result:x"],
          "typed": { "config_type": "X" }
        }
      },
      "result": {
        "content_type": "image/png"
      }
    }
  ]
}
"""


def marked(text: str) -> tuple[Document, Range]:
    start = text.index("|")
    text = text[:start] + text[start + 1 :]
    end = text.find("|")
    if end >= 0:
        text = text[:end] + text[end + 1 :]
    return Document("file:///flow.dw.json", text), Range(start, end if end >= 0 else start)


def extracted(text: str) -> dict[str, str]:
    """The title of each action, and the text after it."""
    document, place = marked(text)
    return {action.title: apply_edits(document.text, action.edits) for action in extract_variable(document, place)}


def inlined(text: str) -> str | None:
    document, place = marked(text)
    action: Action | None = inline_variable(document, place)
    return None if action is None else apply_edits(document.text, action.edits)


def test_a_value_becomes_a_variable_named_after_its_key() -> None:
    actions = extracted(FLOW.replace('"image/png"', '"im|age/png"'))
    (title,) = actions
    assert title == "Extract value to variable `content_type`"
    assert '      2\n    ],\n    "content_type": "image/png"\n  },' in actions[title]
    assert '"content_type": "variable:content_type"' in actions[title]


def test_equal_values_of_the_same_key_may_follow() -> None:
    actions = extracted(FLOW.replace('"width": 512,', '"width": |512,', 1))
    here, everywhere = actions.values()
    assert list(actions)[1] == "Extract value to variable `width`, at all 2 places"
    assert here.count('"variable:width"') == 1 and everywhere.count('"variable:width"') == 2
    assert '"height": 512.0' in everywhere


def test_a_name_that_is_taken_is_counted_on() -> None:
    (title,) = extracted(FLOW.replace('"variable:prompt"', '"a d|og"', 1))
    assert title == "Extract value to variable `prompt_2`"


def test_a_document_without_variables_gets_a_block_of_them() -> None:
    (text,) = extracted('{\n  "id": "x",\n  "steps": [{ "result": { "fps": 2|4 } }]\n}').values()
    assert text == (
        '{\n  "id": "x",\n  "variables": {\n    "fps": 24\n  },\n'
        '  "steps": [{ "result": { "fps": "variable:fps" } }]\n}'
    )


def test_a_selection_takes_the_value_around_it() -> None:
    (text,) = extracted(
        FLOW.replace('{ "width": 512, "height": 512.0 }', '|{ "width": 512|, "height": 512.0 }')
    ).values()
    assert '"options": { "width": 512, "height": 512.0 }\n  },' in text
    assert '"options": "variable:options"' in text


@pytest.mark.parametrize(
    "value",
    [
        '"flo|w"',
        '"dra|w"',
        '"gather_i|nputs"',
        '"previous_result:dr|aw"',
        '"variable:si|zes"',
        '|["x", "previous_result:x"]',
        '|{ "config_type": "X" }',
        '"na|me"',
        '"🙂 a c|at"',
    ],
)
def test_what_would_mean_something_else_as_a_variable_is_not_extracted(value: str) -> None:
    assert extracted(FLOW.replace(value.replace("|", ""), value, 1)) == {}


@pytest.mark.parametrize("place", ['"variable:pro|mpt"', '"|prompt": "🙂', '"prompt": "🙂 a| cat"'])
def test_a_variable_is_inlined_wherever_it_is_used(place: str) -> None:
    text = inlined(FLOW.replace(place.replace("|", ""), place, 1))
    assert text is not None and "variable:prompt" not in text
    assert text.count('"🙂 a cat"') == 2 and '"variables": {\n    "sizes"' in text


def test_a_value_of_several_lines_takes_the_indentation_of_its_place() -> None:
    text = inlined(FLOW.replace('"variable:sizes"', '"variable:|sizes"'))
    assert text is not None and '"sizes": [\n            1,\n            2\n          ],\n' in text


def test_the_last_variable_takes_the_block_along() -> None:
    text = inlined('{\n  "id": "x",\n  "variables": { "a": 1 },\n  "steps": ["variable:|a"]\n}')
    assert text == '{\n  "id": "x",\n  "steps": [1]\n}'


@pytest.mark.parametrize(
    "text",
    [
        '{ "variables": { "|a": 1 }, "steps": [] }',
        '{ "variables": { "a": "variable:b", "b": 1 }, "steps": ["variable:|a"] }',
        '{ "variables": { "a": 1, "a": 2 }, "steps": ["variable:|a"] }',
        '{ "variables": { "a": 1 }, "cost_drivers": ["a"], "steps": ["variable:|a"] }',
        '{ "variables": { "a": 1 }, "steps": ["variable:a", "constraint:a", "variable:|a"] }',
        '{ "variables": { "a": 1 }, "steps": ["variable:|b"] }',
        '{ "variables": { "a": }, "steps": ["variable:|a"] }',
        '{ "variables": [1], "steps": ["variable:|a"] }',
        '["variable:|a"]',
        "|",
    ],
)
def test_a_variable_that_something_else_needs_is_not_inlined(text: str) -> None:
    assert inlined(text) is None


def test_what_was_extracted_is_inlined_again_without_a_trace() -> None:
    for text in extracted(FLOW.replace('"width": 512,', '"width": |512,', 1)).values():
        again = inlined(text.replace('"variable:width"', '"variable:|width"', 1))
        assert again == FLOW
