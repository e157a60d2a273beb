"""A cursor at every offset of sound, broken and unfinished documents: no failure, and no item that breaks anything."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from dw_lsp.analysis.completion.complete import complete
from dw_lsp.analysis.workspace import DiskWorkspace
from dw_lsp.text.document import Document
from dw_lsp.text.parser import parse
from tests.analysis.completion.conftest import accepted

ROOT = Path(__file__).resolve().parents[3]
EVERYTHING = """{
  "id": "all", // a comment, "quoted"
  "variables": { "prompt": "a cat 🐈 with a \\"hat\\"", "n": 3, "photo": { "location": "x.png" } },
  "seed": "variable:n",
  "steps": [
    {
      "name": "draw", /* another */ "for_each": [{ "a": 1 }],
      "pipeline": {
        "configuration": { "component_type": "StableDiffusionPipeline", "components": { "unet": { "device": "cpu" } } },
        "from_pretrained_arguments": { "model_name": "./models/shapes", "torch_dtype": "torch.float16" },
        "scheduler": { "configuration": { "scheduler_type": "DDIMScheduler" }, "from_config_args": {} },
        "loras": [{ "model_name": "a/b", "scale": 0.5 }],
        "vae": {
          "configuration": { "component_type": "AutoencoderKL" },
          "from_pretrained_arguments": { "model_name": "./models/shapes", "subfolder": "vae" },
          "quantization_config": { "configuration": { "config_type": "BitsAndBytesConfig" }, "arguments": {} }
        },
        "chain": { "segments": 2, "prompts": ["a", "b"] },
        "arguments": { "prompt": "variable:prompt", "image": ["variable:photo", { "location": "y.png" }] }
      },
      "result": { "content_type": "image/png", "save": false, }
    },
    { "name": "again", "pipeline_reference": { "reference_name": "draw", "arguments": { "prompt": "item:a" } } },
    { "name": "big", "task": { "command": "resize_rescale", "arguments": { "image": "previous_result:draw.x" } } },
    { "name": "sub", "workflow": { "path": "./child.dw.json", "arguments": { "x": null } } }
  ],
  "cost": [{ "device": "cuda", "vram_gb": 1.5, "minutes": 1 }]
}
"""
ONE_LINE = (
    '{"id":"x","variables":{"a":1},'
    + '"steps":[{"name":"s","task":{"command":"depth","arguments":{"image":"variable:a"}}}]}'
)
BROKEN = """{
  "id": "x"
  "steps": [
    { "name": "a", "task": { "command": "canny_cv" "arguments": { image: 'variable:a', "low_threshold": } }
    { "name" "b" "pipeline": { "configuration": { "component_type": "Flux
    "result": { "content_type": tru
  ]
  "variables": { "a": [1, 2,, "b" }
"""
DOCUMENTS = {
    "everything": EVERYTHING,
    "one line": ONE_LINE,
    "broken": BROKEN,
    "windows": ONE_LINE.replace(",", ",\r\n"),
}
#: What was typed last, and how far the cursor is in it.
STROKES = (
    ("", 0),
    ('"', 1),
    ('""', 1),
    ("v", 1),
    (" ", 1),
    (",", 1),
    ("'", 1),
    (":", 1),
    ("{", 1),
    ("\n", 1),
    ("🐈", 1),
)


def items_at(text: str, offset: int, every: int) -> None:
    """Ask at an offset, and accept every so manieth item."""
    document = Document((ROOT / "workflows" / "all.dw.json").as_uri(), text)
    found = complete(document, offset, DiskWorkspace([ROOT / "workflows"]))
    before = len(document.parsed.problems) if found.items else 0
    for item in itertools.islice(found.items, offset % every, None, every):
        where = (text[max(0, offset - 30) : offset] + "|" + text[offset : offset + 30], item.label)
        assert item.range.start <= offset <= item.range.end, where
        assert not {"\n", "\r"} & set(text[item.range.start : item.range.end]), where
        assert all(edit.range.end <= item.range.start or edit.range.start >= item.range.end for edit in item.extra), (
            where
        )
        after = parse(accepted(text, item)).problems
        assert len(after) <= before, (*where, after)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_at_every_offset(name: str) -> None:
    text = DOCUMENTS[name]
    for offset in range(len(text) + 1):
        items_at(text, offset, 11)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_at_the_end_of_every_beginning(name: str) -> None:
    text = DOCUMENTS[name]
    for offset in range(len(text) + 1):
        items_at(text[:offset], offset, 17)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_after_any_stroke_anywhere(name: str) -> None:
    text = DOCUMENTS[name]
    for offset, (stroke, inside) in zip(range(len(text)), itertools.cycle(STROKES), strict=False):
        items_at(text[:offset] + stroke + text[offset:], offset + inside, 23)


def test_every_item_of_a_document(tmp_path: Path) -> None:
    for offset in range(len(ONE_LINE) + 1):
        items_at(ONE_LINE, offset, 1)


@pytest.mark.parametrize(
    "text",
    ["", " ", "[", "]", "{", "}", '"', '{"', "[[[[", '{"a":', "{,}", "\ufeff{", "null", "//", "/*", "{'a': '", '{"\\'],
)
def test_fragments(text: str) -> None:
    for offset in range(len(text) + 1):
        items_at(text, offset, 1)
