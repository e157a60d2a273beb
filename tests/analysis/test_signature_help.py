"""The signature while arguments are typed. A `|` in a text is the cursor."""

from __future__ import annotations

from pathlib import Path

import pytest

from dw_lsp.analysis.signature_help import ShownSignature, signature_help
from dw_lsp.analysis.workspace import DiskWorkspace
from dw_lsp.catalog.catalog import catalog_of
from dw_lsp.text.document import Document

ROOT = Path(__file__).resolve().parents[2]
needs_diffusers = pytest.mark.skipif(not catalog_of(None).installed, reason="diffusers is not installed here")
TASK = '{"id": "x", "steps": [{"name": "a", "task": {"command": "qr_code", "arguments": {%s}}}]}'
CALL = (
    '{"id": "x", "steps": [{"name": "a", "pipeline": {"configuration": {"component_type": "FluxPipeline"}, '
    '"from_pretrained_arguments": {"model_name": "a/b"}, %s}}]}'
)


def shown(text: str) -> ShownSignature | None:
    offset = text.index("|")
    document = Document("untitled:x", text[:offset] + text[offset + 1 :], language_id="dw-workflow")
    return signature_help(document, offset, DiskWorkspace([]))


def active(found: ShownSignature | None) -> str | None:
    assert found is not None
    if found.active is None:
        return None
    parameter = found.parameters[found.active]
    return found.label[parameter.start : parameter.end]


@pytest.mark.parametrize(
    ("inside", "told"),
    [
        ('"hei|ght": 3', "height"),
        ('"height": 3|', "height"),
        ('"height": 3, "wid|', "width"),
        ('"qr_code_contents": "a|', "qr_code_contents"),
    ],
)
def test_the_argument_at_hand_is_marked(inside: str, told: str) -> None:
    found = shown(TASK % inside)
    assert found is not None and found.label.startswith("qr_code(qr_code_contents: ")
    assert (active(found) or "").startswith(told + ":")


def test_between_arguments_none_is_marked() -> None:
    assert active(shown(TASK % "|")) is None
    assert active(shown(TASK % '"nothing": 1|')) is None


@needs_diffusers
def test_calls_schedulers_and_quantizations_have_their_signatures() -> None:
    found = shown(CALL % '"arguments": {"prompt": "|"}')
    assert found is not None and found.label.startswith("FluxPipeline(prompt: str | list[str]")
    assert "drawn" in found.parameters[0].documentation or found.parameters[0].documentation
    scheduler = '"scheduler": {"configuration": {"scheduler_type": "EulerDiscreteScheduler"}, "from_config_args": {|}}'
    found = shown(CALL % (scheduler + ', "arguments": {}'))
    assert found is not None and found.label.startswith("EulerDiscreteScheduler(num_train_timesteps: int = 1000")


@pytest.mark.parametrize("text", ["|", CALL % '"arg|uments": {}', '{"steps": [{"name": "|"}]}'])
def test_elsewhere_there_is_none(text: str) -> None:
    assert shown(text) is None


def test_no_place_of_a_document_is_a_problem() -> None:
    text = (ROOT / "tests" / "data" / "workflows" / "film.dw.json").read_text(encoding="utf-8")
    for offset in range(0, len(text), 11):
        for document in (Document("file:///x.dw.json", text), Document("file:///x.dw.json", text[:offset])):
            found = signature_help(document, offset, DiskWorkspace([]))
            assert found is None or found.parameters
