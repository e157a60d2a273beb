"""Values: what a place asks for by name, what its shape allows, and references, the likeliest first."""

from __future__ import annotations

import pytest

from tests.analysis.completion.conftest import FLOW, Desk, drawing, step

RESULT = '{ "name": "x", "task": { "command": "COMMAND", "arguments": {} }, "result": { "content_type": "|" } }'


def test_a_step_of_each_kind_can_be_put_in(desk: Desk) -> None:
    assert desk.labels(step("|")) == ["pipeline step", "pipeline_reference step", "task step", "workflow step"]
    text = desk.accept(step("|"), "pipeline step")
    assert desk.document(text).parsed.problems == ()
    assert '"name": "step"' in text and '"component_type": ""' in text


def test_a_first_step_has_no_pipeline_to_call_again(desk: Desk) -> None:
    assert "pipeline_reference step" not in desk.labels('{ "id": "x", "steps": [|] }')


def test_a_step_has_lines_indented_like_its_place(desk: Desk) -> None:
    text = desk.accept(step("|"), "task step")
    assert '\n    {\n      "name": "step",\n      "task": {\n        "command": "",' in text


@pytest.mark.parametrize(
    ("marked", "labels"),
    [
        ('{ "name": "x", "result": { "content_type": "image/png", "save": | } }', ["false", "true"]),
        ('{ "name": "x", "release_pipeline": | }', ["true", "false"]),
        ('{ "name": "x", "result": { "content_type": "image/png", "role": | } }', ["final", "intermediate"]),
    ],
)
def test_switches_and_choices(desk: Desk, marked: str, labels: list[str]) -> None:
    assert [label for label in desk.labels(step(marked)) if not label.startswith("variable:")] == labels


@pytest.mark.parametrize(
    ("command", "kind"),
    [("canny_cv", "image/"), ("get_dict_value", ""), ("pair_audio", ""), ("extract_sections", "text/")],
)
def test_content_types_that_fit_come_first(desk: Desk, command: str, kind: str) -> None:
    labels = desk.labels(step(RESULT.replace("COMMAND", command)))
    assert labels[0].startswith(kind) and len(labels) > 10


def test_commands_have_their_meaning(desk: Desk) -> None:
    marked = step('{ "name": "x", "task": { "command": "|" } }')
    item = desk.item(marked, "remove_background")
    assert item.kind == "command" and "gives image" in item.detail and item.documentation == "Cuts out the subject."
    assert {"gather_images", "upscale", "get_frame", "mix_audio"} <= set(desk.labels(marked))


def test_a_default_is_proposed(desk: Desk) -> None:
    marked = step('{ "name": "x", "task": { "command": "resize_rescale", "arguments": { "width": | } } }')
    item = desk.item(marked, "768")
    assert item.detail == "default" and desk.labels(marked)[:2] == ["768", "variable:count"]


def test_a_variable_of_the_argument_s_name_comes_first(desk: Desk) -> None:
    assert desk.labels(drawing("", '"prompt": |'))[0] == "variable:prompt"


def test_variables_that_fit_come_first(desk: Desk) -> None:
    labels = [label for label in desk.labels(drawing("", '"num_inference_steps": |')) if label.startswith("variable")]
    assert labels[0] == "variable:count" and set(labels[1:]) == {"variable:prompt", "variable:photo", "variable:ratio"}


def test_a_variable_shows_its_default(desk: Desk) -> None:
    assert desk.item(drawing("", '"prompt": |'), "variable:prompt").detail == '"a cat 🐈"'


@pytest.mark.parametrize("typed", ["|", '"|"', '"var|"', '"variable:|"', '"variable:pro|"', '"variable:pro|', "var|"])
def test_a_variable_is_accepted_in_every_stage_of_typing(desk: Desk, typed: str) -> None:
    text = desk.accept_soundly(drawing("", f'"prompt": {typed}'), "variable:prompt")
    assert text == drawing("")


@pytest.mark.parametrize("place", ['{ "id": "|" }', '{ "id": "x", "description": "|", "steps": [] }'])
def test_names_and_prose_have_no_references(desk: Desk, place: str) -> None:
    assert desk.labels(place) == []


def test_only_earlier_steps_have_results(desk: Desk) -> None:
    arguments = '"command": "resize_rescale", "arguments": { "image": | }'
    marked = FLOW.replace("STEP", f'{{ "name": "x", "task": {{ {arguments} }} }}, {{ "name": "later", "task": {{}} }}')
    results = [label for label in desk.labels(marked) if label.startswith("previous_result:")]
    assert results == ["previous_result:edges", "previous_result:draw"]
    assert "previous_result:draw" not in desk.labels(drawing("", '"prompt": |'))


def test_what_can_be_asked_of_a_result(desk: Desk) -> None:
    border = (
        '{ "name": "border", "task": { "command": "add_border_and_mask", "arguments": { "image": "variable:photo" }'
    )
    marked = step(border + ' } }, { "name": "x", "task": { "command": "canny_cv", "arguments": { "image": "|" } } }')
    assert {"previous_result:border.bordered_image", "previous_result:border.mask"} <= set(desk.labels(marked))
    text = desk.accept_soundly(marked, "previous_result:border.mask")
    assert '"image": "previous_result:border.mask"' in text


def test_properties_of_any_result_are_proposed_behind_the_dot(desk: Desk) -> None:
    marked = step(
        '{ "name": "x", "task": { "command": "canny_cv", "arguments": { "image": "previous_result:draw.|" } } }'
    )
    assert "previous_result:draw.width" in desk.labels(marked)


def test_a_pipeline_is_called_again_by_the_name_of_its_step(desk: Desk) -> None:
    marked = step('{ "name": "x", "pipeline_reference": { "reference_name": "|", "arguments": { "prompt": "y" } } }')
    assert desk.labels(marked) == [
        "draw",
        "variable:prompt",
        *[f"variable:{name}" for name in ("count", "photo", "ratio")],
    ]
    desk.accept_soundly(marked, "draw")


def test_a_result_is_named_without_a_prefix(desk: Desk) -> None:
    arguments = '"prompt": "x", "references": [{ "reference_type": "X", "from_previous_result": "|" }]'
    marked = step('{ "name": "x", "pipeline": { "arguments": { ' + arguments + " } } }")
    assert desk.labels(marked)[:2] == ["edges", "draw"]


def test_fields_of_entries_are_proposed(desk: Desk) -> None:
    repeated = '"for_each": [{ "subject": "a", "size": 1 }]'
    marked = step(
        f'{{ "name": "x", {repeated}, "task": {{ "command": "resize_rescale", "arguments": {{ "width": | }} }} }}'
    )
    assert {"item:subject", "item:size"} <= set(desk.labels(marked))


def test_components_are_shared_and_reused_by_name(desk: Desk) -> None:
    assert {"vae", "unet"} <= set(desk.labels(drawing('"shared_components": ["text_encoder", |], ')))
    assert "text_encoder" not in desk.labels(drawing('"shared_components": ["text_encoder", |], '))
    shared = drawing('"shared_components": ["vae"], ').replace(
        "\n    }\n  ]", '\n    }, { "name": "x", "pipeline": { "reused_components": [|] } }\n  ]'
    )
    assert [label for label in desk.labels(shared) if not label.startswith("variable:")] == ["vae"]


def test_an_argument_that_goes_on_is_one_of_the_call(desk: Desk) -> None:
    assert "height" in desk.labels(drawing('"chain": { "segments": 2, "segment_argument": "|" }, '))


def test_keys_of_the_catalogue_name_variables(desk: Desk) -> None:
    labels = desk.labels(FLOW.replace("STEP", "{}").replace('"steps"', '"cost_drivers": [|], "steps"'))
    assert labels[:4] == ["prompt", "count", "photo", "ratio"]


def test_choices_of_an_annotation_are_proposed(desk: Desk) -> None:
    labels = desk.labels(drawing("", '"output_type": |'))
    assert labels[:2] == ["{pil}", "{np}"] and "pil" not in labels


def test_nothing_is_proposed_twice(desk: Desk) -> None:
    labels = desk.labels(drawing('"chain": { "segments": 2, "continuity": | }, '))
    assert labels[0] == "last_frame" and len(labels) == len(set(labels))


def test_a_medium_may_be_an_object(desk: Desk) -> None:
    marked = step('{ "name": "x", "task": { "command": "canny_cv", "arguments": { "image": | } } }')
    assert '"image": { "location": "" }' in desk.accept(marked, "{ … }")


def test_a_new_document_is_a_whole_workflow(desk: Desk) -> None:
    text = desk.accept("|", "workflow")
    assert desk.document(text).parsed.problems == ()
    assert [code for code, _ in desk.findings(text)] == []


@pytest.mark.parametrize("marked", ['{ "id": "x" } |', "// a comment |\n{}", '{ "id": "x" /* | */ }', '{ "id": "x"| }'])
def test_nothing_where_nothing_can_stand(desk: Desk, marked: str) -> None:
    assert desk.labels(marked) == []


def test_other_documents_have_no_proposals(desk: Desk) -> None:
    desk.document = lambda text: type(Desk.document(desk, text))("file:///other.json", text)  # type: ignore[method-assign]
    assert desk.labels('{ "id": "x", | }') == []
    assert "variables" in desk.labels('{ "id": "x", "steps": [], | }')


@pytest.mark.parametrize("trigger", [" ", ","])
def test_prose_is_not_interrupted(desk: Desk, trigger: str) -> None:
    assert desk.complete(drawing("", f'"prompt": "a cat{trigger}|"'), trigger).items == ()


def test_prose_with_spaces_is_no_reference(desk: Desk) -> None:
    assert desk.labels(drawing("", '"prompt": "a cat v|"')) == []


def test_attention_implementations_are_those_of_the_installed_diffusers(desk: Desk) -> None:
    from diffusers.models.attention_dispatch import AttentionBackendName

    marked = step(
        '{ "name": "x", "pipeline": { "configuration": '
        '{ "component_type": "FluxPipeline", "attention_backend": "|" } } }'
    )
    labels = [label for label in desk.labels(marked) if not label.startswith("variable:")]
    assert sorted(labels) == sorted(backend.value for backend in AttentionBackendName)
    assert not labels[0].startswith("_")
