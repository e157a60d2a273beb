"""Real workflows with one seeded mistake each, for the rules on tasks, results, sharing, types and sub-workflows.

The workflows and the way of seeding are those of `test_mutations`; the share that was found is printed for each kind
of mistake (`pytest -s`).
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dw_lsp.analysis.diagnose import diagnose
from dw_lsp.analysis.findings import Finding
from dw_lsp.analysis.workspace import DiskWorkspace
from dw_lsp.text.document import Document
from dw_lsp.text.syntax_tree import Array, Member, Node, Number, Object, Range, String
from dw_lsp.workflow.format.commands import COMMANDS
from dw_lsp.workflow.model import Step, Workflow
from dw_lsp.workflow.reader import read
from tests.analysis.test_mutations import FILES, SHARE_FOUND, Mutation, misspelt, replaced

Mutate = Callable[[str, Workflow, random.Random], Iterator[Mutation]]
#: Pipelines of which every user knows that they make images.
IMAGES = ("FluxPipeline", "FluxFillPipeline", "StableDiffusionPipeline", "StableDiffusionXLPipeline", "ZImagePipeline",
          "StableDiffusion3Pipeline", "KolorsPipeline")  # fmt: skip


def objects(node: Node | None) -> Iterator[Object]:
    """The node itself, when it is an object."""
    if isinstance(node, Object):
        yield node


def tasks(workflow: Workflow) -> Iterator[tuple[Step, String, Object]]:
    """Tasks with a command that refuses unknown arguments, the command, and the arguments."""
    for step in workflow.steps:
        for body in objects(step.node.get("task")):
            command, arguments = body.get("command"), body.get("arguments")
            if isinstance(command, String) and isinstance(arguments, Object):
                yield step, command, arguments


def inserted(text: str, node: Object, member: str, code: str) -> Mutation:
    """A member put in as the first of an object."""
    at = node.range.start + 1
    written = member + (", " if node.members else "")
    return Mutation(text[:at] + written + text[at:], code, Range(at, at + len(written)))


def misspelt_command(text: str, workflow: Workflow, source: random.Random) -> Iterator[Mutation]:
    for _, command, _ in tasks(workflow):
        yield replaced(text, command.range, json.dumps(misspelt(command.value, source)), "unknown-task")


def misspelt_argument(text: str, workflow: Workflow, source: random.Random) -> Iterator[Mutation]:
    for _, command, arguments in tasks(workflow):
        if COMMANDS[command.value].others != "passed on":
            for member in arguments.members:
                new = json.dumps(misspelt(member.key.value, source))
                yield replaced(text, member.key.range, new, "unknown-argument")


def argument_gone(text: str, workflow: Workflow, source: random.Random) -> Iterator[Mutation]:
    for _, command, arguments in tasks(workflow):
        for member in arguments.members:
            known = COMMANDS[command.value].argument(member.key.value)
            if known is not None and known.required:
                mutation = replaced(text, member.range, '"device": "cpu"', "missing-argument")
                yield Mutation(mutation.text, mutation.code, command.range)


def argument_of_another_type(text: str, workflow: Workflow, source: random.Random) -> Iterator[Mutation]:
    for _, command, arguments in tasks(workflow):
        for member in arguments.members:
            known = COMMANDS[command.value].argument(member.key.value)
            if known is not None and type(known.shape).__name__ not in ("AnyShape", "AnyOf"):
                new = '"x"' if type(known.shape).__name__ in ("NumberShape", "FlagShape", "ListShape") else "5"
                yield replaced(text, member.value.range, new, "argument-type")


def results(workflow: Workflow) -> Iterator[tuple[Step, String]]:
    for step in workflow.steps:
        for result in objects(step.node.get("result")):
            if isinstance(node := result.get("content_type"), String):
                yield step, node


def misspelt_content_type(text: str, workflow: Workflow, source: random.Random) -> Iterator[Mutation]:
    for _, node in results(workflow):
        kind, _, subtype = node.value.partition("/")
        yield replaced(text, node.range, json.dumps(f"{kind}/{misspelt(subtype, source)}"), "content-type")


def content_type_of_another_medium(text: str, workflow: Workflow, source: random.Random) -> Iterator[Mutation]:
    for step, node in results(workflow):
        for body in objects(step.node.get("pipeline")):
            name = [one.get("component_type") for one in objects(body.get("configuration"))]
            arguments = next(objects(body.get("arguments")), None)
            plain = arguments is not None and not arguments.member("output_type")
            if plain and isinstance(name[0], String) and name[0].value in IMAGES:
                yield replaced(text, node.range, '"video/mp4"', "content-type")


def key_of_one_dialect(text: str, workflow: Workflow, source: random.Random) -> Iterator[Mutation]:
    for step in workflow.steps:
        for body in objects(step.node.get("pipeline")):
            for configuration in objects(body.get("configuration")):
                yield inserted(text, configuration, '"teacache": { "rel_l1_thresh": 0.4 }', "deprecated-property")
                if isinstance(name := configuration.get("component_type"), String):
                    yield replaced(text, name.range, '"transformers.pipeline"', "deprecated-property")
        for result in objects(step.node.get("result")):
            yield inserted(text, result, '"samplerate": 8000', "deprecated-property")


def reference_within_text(text: str, workflow: Workflow, source: random.Random) -> Iterator[Mutation]:
    for use in workflow.uses:
        if use.reference.kind in ("variable", "previous_result") and not use.bare and use.step is not None:
            new = f"a photo of {use.node.value}" if source.random() < 0.7 else f"{use.node.value}, in oils"
            yield replaced(text, use.node.range, json.dumps(new), "reference-in-text")


def property_misspelt(text: str, workflow: Workflow, source: random.Random) -> Iterator[Mutation]:
    for use in workflow.uses:
        if use.reference.kind == "previous_result" and use.reference.property and not use.bare:
            wrong = f"previous_result:{use.reference.name}.{misspelt(use.reference.property, source)}"
            yield replaced(text, use.node.range, json.dumps(wrong), "unknown-result-property")


def result_unsaved(text: str, workflow: Workflow, source: random.Random) -> Iterator[Mutation]:
    read_names = {use.reference.name for use in workflow.uses if use.step is not None}
    for step in workflow.steps[:-1]:
        result = step.node.get("result")
        silent = not isinstance(result, Object) or result.member("save")
        if step.name is None or silent or step.name.value in read_names or '"shared_components"' in text:
            continue
        if step.kind in ("pipeline", "task") and isinstance(result, Object) and not step.node.member("release_models"):
            mutation = inserted(text, result, '"save": false', "ineffective-step")
            yield Mutation(mutation.text, mutation.code, step.name.range)


def reused_but_not_shared(text: str, workflow: Workflow, source: random.Random) -> Iterator[Mutation]:
    for step in workflow.steps:
        for body in objects(step.node.get("pipeline")):
            if not any(earlier.kind == "workflow" for earlier in workflow.steps[: step.index]):
                yield inserted(text, body, '"reused_components": ["never_shared"]', "unshared-component")


def released_and_called_again(text: str, workflow: Workflow, source: random.Random) -> Iterator[Mutation]:
    for step in workflow.steps:
        for body in objects(step.node.get("pipeline_reference")):
            named = body.get("reference_name")
            loader = [one for one in workflow.steps if one.name and isinstance(named, String) and
                      one.name.value == named.value]  # fmt: skip
            if loader and isinstance(named, String):
                added = '"release_pipeline": true, '
                at = loader[0].node.range.start + 1
                place = Range(named.range.start + len(added), named.range.end + len(added))
                yield Mutation(text[:at] + added + text[at:], "released-pipeline", place)


def default_of_another_type(text: str, workflow: Workflow, source: random.Random) -> Iterator[Mutation]:
    whole = ("num_inference_steps", "width", "height", "num_frames", "num_images_per_prompt")
    for member, key in used_defaults(workflow):
        if key in whole and isinstance(member.value, Number):
            yield replaced(text, member.value.range, json.dumps(str(member.value.value)), "variable-type")
            yield replaced(text, member.value.range, f"{member.value.value}.5", "variable-type")
        elif key in ("scale", "strength") and isinstance(member.value, Number):
            yield replaced(text, member.value.range, "1", "variable-type")


def used_defaults(workflow: Workflow) -> Iterator[tuple[Member, str]]:
    """Variables and the key under which a step's call refers to each."""
    declared = {variable.name: variable.member for variable in workflow.variables}
    for step in workflow.steps:
        body = step.body
        holders = [body.get("arguments")] if isinstance(body, Object) and step.kind != "workflow" else []
        loras = body.get("loras") if isinstance(body, Object) else None
        for holder in [*holders, *(loras.items if isinstance(loras, Array) else ())]:
            for member in holder.members if isinstance(holder, Object) else ():
                value = member.value.value if isinstance(member.value, String) else ""
                if (name := value.removeprefix("variable:")) != value and name in declared:
                    yield declared[name], member.key.value


def misspelt_variable_of_another_workflow(text: str, workflow: Workflow, source: random.Random) -> Iterator[Mutation]:
    for step in workflow.steps:
        for body in objects(step.node.get("workflow")):
            path = body.get("path")
            known = isinstance(path, String) and Path(path.value).name in {file.name for file in FILES}
            if known or (isinstance(path, String) and path.value.startswith("variable:")):
                for arguments in objects(body.get("arguments")):
                    for member in arguments.members:
                        new = json.dumps(misspelt(member.key.value, source))
                        yield replaced(text, member.key.range, new, "unknown-argument")


MUTATIONS: tuple[Mutate, ...] = (
    misspelt_command,
    misspelt_argument,
    argument_gone,
    argument_of_another_type,
    misspelt_content_type,
    content_type_of_another_medium,
    key_of_one_dialect,
    reference_within_text,
    property_misspelt,
    result_unsaved,
    reused_but_not_shared,
    released_and_called_again,
    default_of_another_type,
    misspelt_variable_of_another_workflow,
)


def findings_of(file: Path, text: str) -> tuple[Finding, ...]:
    return diagnose(Document(file.as_uri(), text), DiskWorkspace([file.parent]), {})


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
def test_a_single_mistake_is_found_at_its_token(mutate: Mutate) -> None:
    source, total, missed, code = random.Random(5), 0, [], ""
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        workflow = read(Document("", text).root)
        assert workflow is not None
        for mutation in mutate(text, workflow, source):
            total, code = total + 1, mutation.code
            if not any(
                found.code == code and mutation.place.start <= found.range.start <= mutation.place.end
                for found in findings_of(file, mutation.text)
            ):
                missed.append((file.name, mutation.text[mutation.place.start :][:70]))
    print(f"\n{code} ({mutate.__name__}): {1 - len(missed) / max(total, 1):.1%} of {total}")
    assert total >= 2
    assert len(missed) <= total * (1 - SHARE_FOUND), (total, missed[:8])
