"""Completion in documents in which a | is the cursor, and what becomes of them when an item is accepted."""

from __future__ import annotations

import collections
from dataclasses import dataclass
from pathlib import Path

import pytest

from dw_lsp.analysis.completion.complete import complete
from dw_lsp.analysis.completion.items import Completions, Item
from dw_lsp.analysis.completion.skeletons import plain
from dw_lsp.analysis.diagnose import diagnose
from dw_lsp.analysis.workspace import DiskWorkspace
from dw_lsp.settings import Settings
from dw_lsp.text.document import Document
from dw_lsp.text.edits import Edit, apply_edits

#: A workflow with a place for a step, behind one that draws.
FLOW = """{
  "id": "flow",
  "variables": { "prompt": "a cat 🐈", "count": 3, "photo": { "location": "cat.png" }, "ratio": 0.5 },
  "steps": [
    {
      "name": "draw",
      "pipeline": {
        "configuration": { "component_type": "StableDiffusionPipeline" },
        "from_pretrained_arguments": { "model_name": "owner/model", "torch_dtype": "torch.float16" },
        "arguments": { "prompt": "variable:prompt" }
      }
    },
    {
      "name": "edges",
      "task": { "command": "canny_cv", "arguments": { "image": "previous_result:draw" } }
    },
    STEP
  ]
}
"""
#: What such short workflows do not care for.
_LEFT_OUT = ("model-not-cached", "memory")


def accepted(text: str, item: Item) -> str:
    """The text after an item was accepted and nothing filled in."""
    line = text[text.rfind("\n", 0, item.range.start) + 1 : item.range.start]
    indent = line[: len(line) - len(line.lstrip())]
    written = (plain(item.text) if item.snippet else item.text).replace("\n", "\n" + indent)
    return apply_edits(text, [Edit(item.range, written), *item.extra])


@dataclass
class Desk:
    """A folder with workflows, in which a document is typed."""

    folder: Path
    settings: Settings | None = None

    def document(self, text: str) -> Document:
        """The document that is typed."""
        return Document((self.folder / "flow.dw.json").as_uri(), text)

    @property
    def workspace(self) -> DiskWorkspace:
        """The folder as it is now."""
        return DiskWorkspace([self.folder], self.settings)

    def complete(self, marked: str, trigger: str | None = None) -> Completions:
        """The proposals at the |."""
        before, bar, behind = marked.partition("|")
        assert bar
        return complete(self.document(before + behind), len(before), self.workspace, trigger)

    def labels(self, marked: str) -> list[str]:
        """What is proposed, the likeliest first."""
        return [item.label for item in sorted(self.complete(marked).items, key=lambda item: item.sort_text)]

    def item(self, marked: str, label: str) -> Item:
        """One proposal."""
        found = [item for item in self.complete(marked).items if item.label == label]
        assert len(found) == 1, self.labels(marked)
        return found[0]

    def accept(self, marked: str, label: str) -> str:
        """The text after a proposal was accepted."""
        before, _, behind = marked.partition("|")
        return accepted(before + behind, self.item(marked, label))

    def findings(self, text: str) -> collections.Counter[tuple[str, str]]:
        """The errors and warnings of a text."""
        found = diagnose(self.document(text), self.workspace, dict.fromkeys(_LEFT_OUT, "off"))
        return collections.Counter((each.code, each.message) for each in found if each.severity in ("error", "warning"))

    def accept_soundly(self, marked: str, label: str) -> str:
        """The same; the text has no mistake then, but those that it has without what is half typed."""
        text = self.accept(marked, label)
        document = self.document(text)
        assert document.parsed.problems == (), text
        assert self.findings(text) == {}, text
        return text


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """An empty folder."""
    (tmp_path / "cat.png").write_bytes(b"")
    return Desk(tmp_path)


def step(written: str) -> str:
    """The workflow with one more step."""
    return FLOW.replace("STEP", written)


def drawing(part: str, arguments: str = '"prompt": "variable:prompt"') -> str:
    """The workflow with something more in its pipeline, before the arguments of its call, or with other arguments."""
    text = FLOW.replace("    STEP\n", "").replace("    },\n  ]", "    }\n  ]")
    before, _, behind = text.partition('"arguments": { "prompt": "variable:prompt" }')
    return f'{before}{part}"arguments": {{ {arguments} }}{behind}'
