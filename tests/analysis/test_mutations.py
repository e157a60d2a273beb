"""Real workflows with one seeded mistake each: found at the token at fault, with the right code.

The workflows are the repository's own, those written to have something of everything (`tests/data/workflows`), and
those of a folder of real files where one is at hand (DW_TEST_CORPUS, or `../shared/corpus`). Unchanged, they must give
no error at all but what is known of them.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dw_lsp.analysis.diagnose import diagnose
from dw_lsp.analysis.findings import Finding
from dw_lsp.analysis.workspace import DiskWorkspace
from dw_lsp.text.document import Document
from dw_lsp.text.syntax_tree import Array, Member, Object, Range, String, walk
from dw_lsp.workflow.format.pipeline import CONFIGURATION
from dw_lsp.workflow.reader import read

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(os.environ.get("DW_TEST_CORPUS", ROOT.parent / "shared" / "corpus"))
OWN = sorted((ROOT / "workflows").glob("*.dw.json"))
WRITTEN = sorted((ROOT / "tests" / "data" / "workflows").glob("*.dw.json"))
FILES = [*OWN, *WRITTEN, *sorted(CORPUS.rglob("*.json"))]
#: What is known to be wrong, and where.
KNOWN = {
    "FluxFill.json": ["unknown-variable"],
    "FluxRFInversion.json": ["unsafe-type"],
    "Krea2Edit.json": ["unsafe-code"],
    "img2txt2img.json": ["deprecated-property", "unknown-file"],
}
#: What depends on the machine that the test runs on.
OF_THE_MACHINE = frozenset({"not-installed"})
SHARE_FOUND = 0.95


@dataclass(frozen=True)
class Mutation:
    """A document with a mistake; the finding must touch `place`, an offset range."""

    text: str
    code: str
    place: Range


Mutate = Callable[[str, Object, random.Random], Iterator[Mutation]]


def findings_of(text: str) -> tuple[Finding, ...]:
    return diagnose(Document("file:///mutated.dw.json", text), DiskWorkspace([]), {})


def replaced(text: str, place: Range, new: str, code: str) -> Mutation:
    return Mutation(text[: place.start] + new + text[place.end :], code, Range(place.start, place.start + len(new)))


def misspelt(name: str, source: random.Random) -> str:
    """The name with one letter doubled in the middle, so that it is another name."""
    at = source.randrange(len(name))
    return name[:at] + name[at] + "q" + name[at:]


def misspelt_variable(text: str, root: Object, source: random.Random) -> Iterator[Mutation]:
    workflow = read(root)
    for use in workflow.uses if workflow else ():
        if use.reference.kind == "variable":
            new = f'"variable:{misspelt(use.reference.name, source)}"'
            yield replaced(text, use.node.range, new, "unknown-variable")


def misspelt_step(text: str, root: Object, source: random.Random) -> Iterator[Mutation]:
    workflow = read(root)
    for use in workflow.uses if workflow else ():
        if use.reference.kind == "previous_result":
            new = (
                json.dumps(misspelt(use.reference.name, source))
                if use.bare
                else f'"previous_result:{"q" + use.reference.target}"'
            )
            yield replaced(text, use.node.range, new, "unknown-step")


def step_renamed(text: str, root: Object, source: random.Random) -> Iterator[Mutation]:
    workflow = read(root)
    for step in workflow.steps[1:] if workflow else ():
        first = workflow.steps[0] if workflow else None
        if step.name is not None and first is not None and first.name is not None:
            yield replaced(text, step.name.range, json.dumps(first.name.value), "duplicate-step")


def own_result(text: str, root: Object, source: random.Random) -> Iterator[Mutation]:
    workflow = read(root)
    for use in workflow.uses if workflow else ():
        if workflow and use.reference.kind == "previous_result" and use.step is not None and not use.bare:
            name = workflow.steps[use.step].name
            if name is not None:
                yield replaced(text, use.node.range, json.dumps("previous_result:" + name.value), "step-order")


def members_named(root: Object, *names: str) -> Iterator[tuple[Object, Member]]:
    """The members of these names that the format itself knows, not those that a call's arguments happen to have."""
    variables = root.get("variables")
    for node in walk(root):
        if isinstance(node, Object) and node is not variables and node.member("component_type") is None:
            for member in node.members:
                if member.key.value in names:
                    yield node, member


def required_key_gone(text: str, root: Object, source: random.Random) -> Iterator[Mutation]:
    for node, member in members_named(root, "content_type", "command", "configuration", "from_pretrained_arguments"):
        if member.key.value == "configuration" and node.member("from_pretrained_arguments") is None:
            continue
        if member.key.value == "from_pretrained_arguments" and node.member("arguments") is None:
            continue  # A component without it would be no component any more, but an unknown key.
        new = json.dumps(member.key.value + "_gone")
        mutation = replaced(text, member.key.range, new, "missing-property")
        yield Mutation(mutation.text, mutation.code, Range(node.range.start - 60, node.range.end))


def misspelt_key(text: str, root: Object, source: random.Random) -> Iterator[Mutation]:
    for node in walk(root):
        if isinstance(node, Object) and node.member("component_type") is not None:
            for member in node.members:
                known = CONFIGURATION.property(member.key.value)
                if known is not None and not known.required and _is_pipeline_configuration(root, node):
                    yield replaced(text, member.key.range, json.dumps(misspelt(known.name, source)), "unknown-property")


def _is_pipeline_configuration(root: Object, node: Object) -> bool:
    workflow = read(root)
    bodies = [step.body for step in workflow.steps if step.kind == "pipeline"] if workflow else []
    return any(isinstance(body, Object) and body.get("configuration") is node for body in bodies)


def wrong_type(text: str, root: Object, source: random.Random) -> Iterator[Mutation]:
    for _, member in members_named(root, "content_type", "save", "command", "steps"):
        new = "17" if isinstance(member.value, String) else '"yes"'
        yield replaced(text, member.value.range, new, "wrong-type")


def wrong_value(text: str, root: Object, source: random.Random) -> Iterator[Mutation]:
    for node in walk(root):
        if isinstance(node, Object) and isinstance(offload := node.get("offload"), String):
            yield replaced(text, offload.range, json.dumps(offload.value + "ly"), "invalid-value")


def key_twice(text: str, root: Object, source: random.Random) -> Iterator[Mutation]:
    for node in walk(root):
        if isinstance(node, Object) and node.members:
            member = node.members[0]
            copy = text[member.range.start : member.range.end]
            end = node.members[-1].range.end
            mutated = f"{text[:end]},\n{copy}{text[end:]}"
            yield Mutation(mutated, "duplicate-key", Range(end, end + len(copy) + 2))


def two_kinds(text: str, root: Object, source: random.Random) -> Iterator[Mutation]:
    workflow = read(root)
    for step in workflow.steps if workflow else ():
        if step.kind is not None:
            other = (
                '"workflow": {"path": "x.json"}, '
                if step.kind != "workflow"
                else '"task": {"command": "gather_inputs", "inputs": [1]}, '
            )
            at = step.node.range.start + 1
            yield Mutation(text[:at] + other + text[at:], "step-kind", Range(at, step.node.range.end + len(other)))


def comma_gone(text: str, root: Object, source: random.Random) -> Iterator[Mutation]:
    for match in re.finditer(r",(?=\s*\n)", text):
        yield Mutation(
            text[: match.start()] + text[match.end() :], "syntax", Range(match.start() - 1, match.start() + 2)
        )


def quote_gone(text: str, root: Object, source: random.Random) -> Iterator[Mutation]:
    for node in walk(root):
        if isinstance(node, String) and len(node.value) > 2:
            end = node.range.end
            yield Mutation(text[: end - 1] + text[end:], "syntax", Range(node.range.start, end))


def bracket_gone(text: str, root: Object, source: random.Random) -> Iterator[Mutation]:
    for node in walk(root):
        if isinstance(node, (Object, Array)) and "\n" in text[node.range.start : node.range.end]:
            end = node.range.end
            yield Mutation(text[: end - 1] + text[end:], "syntax", Range(node.range.start, len(text)))


MUTATIONS: tuple[Mutate, ...] = (
    misspelt_variable,
    misspelt_step,
    step_renamed,
    own_result,
    required_key_gone,
    misspelt_key,
    wrong_type,
    wrong_value,
    key_twice,
    two_kinds,
    comma_gone,
    quote_gone,
    bracket_gone,
)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_real_workflow_gives_no_error_and_no_warning(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    findings = diagnose(Document(file.as_uri(), text), DiskWorkspace([file.parent]), {})
    serious = {found.code for found in findings if found.severity in ("error", "warning")} - OF_THE_MACHINE
    assert serious <= set(KNOWN.get(file.name, []))


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
def test_a_single_mistake_is_found_at_its_token(mutate: Mutate) -> None:
    source, total, missed = random.Random(3), 0, []
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        root = Document("", text).root
        assert isinstance(root, Object)
        for mutation in mutate(text, root, source):
            total += 1
            if not any(
                found.code == mutation.code
                and found.range.start >= mutation.place.start
                and found.range.start <= mutation.place.end
                for found in findings_of(mutation.text)
            ):
                missed.append((file.name, mutation.place, mutation.text[mutation.place.start :][:60]))
    print(f"\n{mutate.__name__}: {1 - len(missed) / max(total, 1):.1%} of {total}")
    assert total >= 3
    assert len(missed) <= total * (1 - SHARE_FOUND), (total, missed[:5])


def test_a_mistake_in_the_text_leaves_the_other_findings_alone() -> None:
    text = next(file for file in OWN if "variations" in file.name).read_text(encoding="utf-8")
    text = text.replace("previous_result:draft", "previous_result:darft", 1)
    (expected,) = [found for found in findings_of(text) if found.code == "unknown-step"]
    for match in re.finditer(r",(?=\s*\n)", text):
        broken = text[: match.start()] + text[match.end() :]
        found = [found for found in findings_of(broken) if found.code == "unknown-step"]
        assert [broken[place.range.start : place.range.end] for place in found] == ['"previous_result:darft"'], match
        assert abs(found[0].range.start - expected.range.start) <= 1
