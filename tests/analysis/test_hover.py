"""What is shown of the word under the cursor. A `|` in a text is the cursor."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from dw_lsp.analysis.hover.files import pixels_of
from dw_lsp.analysis.hover.hover import hover
from dw_lsp.analysis.last_run import LastRun, MadeFile, StepRun
from dw_lsp.analysis.workspace import Device, DiskWorkspace
from dw_lsp.catalog.catalog import catalog_of
from dw_lsp.planning.measured import Measurements
from dw_lsp.text.document import Document

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = sorted((ROOT / "tests" / "data" / "workflows").glob("*.dw.json"))
needs_diffusers = pytest.mark.skipif(not catalog_of(None).installed, reason="diffusers is not installed here")


def shown(
    text: str,
    folder: Path | None = None,
    last: LastRun | None = None,
    rich: bool = True,
    device: Device | None = None,
) -> str:
    """What is shown at the `|`; empty for nothing."""
    offset = text.index("|")
    text = text[:offset] + text[offset + 1 :]
    uri = "untitled:flow" if folder is None else (folder / "flow.dw.json").as_uri()
    document = Document(uri, text, language_id="dw-workflow")
    found = hover(document, offset, DiskWorkspace([folder] if folder else [], device=device), last, rich)
    if found is None:
        return ""
    assert found.range.contains(offset)
    return found.text


def pipeline(**members: Any) -> str:
    """A workflow with a pipeline step named draw, as JSON in one line."""
    body = {
        "configuration": {"component_type": "FluxPipeline"},
        "from_pretrained_arguments": {"model_name": "someone/model"},
        "arguments": {"prompt": "variable:subject", "guidance_scale": 3.5},
        **members,
    }
    steps = [
        {"name": "draw", "pipeline": body},
        {"name": "cut", "task": {"command": "crop_square", "arguments": {"image": "previous_result:draw"}}},
        {"name": "again", "pipeline_reference": {"reference_name": "draw", "arguments": {"prompt": "x"}}},
    ]
    return json.dumps({"id": "flow", "variables": {"subject": "a cat 😀"}, "steps": steps}, ensure_ascii=False)


def at(text: str, written: str, inside: int = 3) -> str:
    """The text with the cursor in what is written somewhere."""
    offset = text.index(written) + inside
    return text[:offset] + "|" + text[offset:]


def test_a_key_is_told_with_its_type_meaning_and_default() -> None:
    text = pipeline(chain={"segments": 2, "trim_frames": 1})
    told = shown(at(text, '"trim_frames"'))
    assert told.startswith("**`trim_frames`**") and "1" in told and "At least 0" in told


def test_what_only_one_dialect_has_is_said() -> None:
    text = pipeline(configuration={"component_type": "FluxPipeline", "teacache": {"rel_l1_thresh": 0.2}})
    assert "Deprecated" in shown(at(text, '"teacache"'))


def test_choices_are_listed_on_the_value_too() -> None:
    text = pipeline(configuration={"component_type": "FluxPipeline", "offload": "model"})
    assert "One of `model`, `sequential`" in shown(at(text, '"model"'))


def test_a_variable_is_told_at_its_declaration_and_where_it_is_used() -> None:
    text = pipeline()
    for written in ('"subject"', '"variable:subject"'):
        told = shown(at(text, written))
        assert "variable **`subject`**" in told and '"a cat 😀"' in told and "used once" in told
    assert "not used" in shown('{"id": "x", "variables": {"al|one": 1}, "steps": []}')


def test_a_step_is_told_with_its_place_in_the_flow() -> None:
    text = pipeline()
    told = shown(at(text, '"draw"'))
    assert "step 1 of 3" in told and "`FluxPipeline`" in told and "used by `cut`, `again`" in told
    assert "after `draw`" in shown(at(text, '"cut"'))


@pytest.mark.parametrize("written", ['"previous_result:draw"', '"draw", "arguments"'])
def test_a_reference_to_results_is_told_as_its_step(written: str) -> None:
    told = shown(at(pipeline(), written, 2))
    assert told.startswith("the results of step 1 of 3") and "`draw`" in told


def test_a_property_of_results_is_named() -> None:
    step = '{"name": "a", "task": {"command": "get_image_size", "arguments": {"image": "asset:a.png"}}}'
    use = '{"name": "b", "task": {"command": "gather_inputs", "inputs": ["previous_result:a.wi|dth"]}}'
    told = shown(f'{{"id": "x", "steps": [{step}, {use}]}}')
    assert told.startswith("`width` of each result of step 1 of 2") and "`height`" in told


def test_a_command_is_told_with_its_arguments() -> None:
    told = shown(at(pipeline(), '"crop_square"'))
    assert "crop_square(image)" in told and "Gives image" in told
    assert "an image" in shown(at(pipeline(), '"image": "previous_result:draw"', 2))


@needs_diffusers
def test_a_class_is_told_with_its_call_documentation_and_version() -> None:
    told = shown(at(pipeline(), '"FluxPipeline"'))
    package = catalog_of(None).environment.package("diffusers")
    assert package is not None
    assert "FluxPipeline(prompt=None" in told and "text-to-image" in told and f"diffusers {package.version}" in told


@needs_diffusers
def test_an_argument_is_told_as_the_class_in_use_documents_it() -> None:
    told = shown(at(pipeline(), '"guidance_scale"'))
    assert "`float = 3.5`" in told and len(told) > 80
    assert "`str | list[str]" in shown(at(pipeline(), '"prompt": "x"', 2)), (
        "the step that is called again has its class"
    )


@needs_diffusers
def test_arguments_of_schedulers_and_quantizations_are_told() -> None:
    scheduler = {"configuration": {"scheduler_type": "EulerDiscreteScheduler"}, "from_config_args": {"beta_end": 0.02}}
    quantization = {"configuration": {"config_type": "BitsAndBytesConfig"}, "arguments": {"load_in_4bit": True}}
    part = {
        "configuration": {"component_type": "FluxTransformer2DModel"},
        "quantization_config": quantization,
        "from_pretrained_arguments": {"model_name": "someone/model", "torch_dtype": "torch.bfloat16"},
    }
    text = pipeline(scheduler=scheduler, transformer=part)
    assert "final" in shown(at(text, '"beta_end"')) and "0.02" in shown(at(text, '"beta_end"'))
    assert "`bool = False`" in shown(at(text, '"load_in_4bit"'))
    assert "2 bytes for each weight" in shown(at(text, '"torch.bfloat16"'))


def test_a_package_that_is_not_installed_is_told_with_its_remedy() -> None:
    text = pipeline(configuration={"component_type": "sdnq.Nothing"})
    if catalog_of(None).resolve("sdnq.Nothing").status == "absent":
        assert "pip install sdnq" in shown(at(text, '"sdnq.Nothing"'))


def test_a_local_model_is_told_with_its_parts_and_sizes() -> None:
    text = pipeline(from_pretrained_arguments={"model_name": "./models/shapes"})
    told = shown(at(text, '"./models/shapes"'), ROOT / "workflows")
    assert "StableDiffusionPipeline, 5.8 MB on disk" in told and "| `unet` | UNet2DConditionModel |" in told
    assert "the first run downloads it" in shown(at(pipeline(), '"someone/model"'))


def test_another_workflow_is_told_with_its_variables(tmp_path: Path) -> None:
    child = {"id": "child", "description": "Makes children.", "variables": {"size": 3}, "steps": []}
    (tmp_path / "child.dw.json").write_text(json.dumps(child), encoding="utf-8")
    call = '{"name": "a", "workflow": {"path": "./chi|ld.dw.json"}}'
    told = shown(f'{{"id": "x", "steps": [{call}]}}', tmp_path)
    assert "**`child`**" in told and "Makes children." in told and "| `size` | `3` |" in told


def test_a_picture_is_told_with_its_size(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">II", 64, 48))
    step = '{"name": "a", "task": {"command": "crop_square", "arguments": {"image": "x|.png"}}}'
    assert "64 by 48 pixels" in shown(f'{{"id": "x", "steps": [{step}]}}', tmp_path)


@pytest.mark.parametrize(
    ("head", "size"),
    [
        (b"GIF89a" + struct.pack("<HH", 7, 5), (7, 5)),
        (b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x0b\x08\x00\x05\x00\x07" + b"\0" * 9, (7, 5)),
        (b"\xff\xd8\xff", None),
        (b"\x89PNG\r\n\x1a\n", None),
        (b"", None),
    ],
)
def test_sizes_are_read_from_the_first_bytes(head: bytes, size: tuple[int, int] | None, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(head)
    assert pixels_of(tmp_path / "file") == size


def test_what_lies_outside_is_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">II", 64, 48))
    (tmp_path / "inner").mkdir()
    step = '{"name": "a", "task": {"command": "crop_square", "arguments": {"image": "../sec|ret.png"}}}'
    assert "pixels" not in shown(f'{{"id": "x", "steps": [{step}]}}', tmp_path / "inner")


def test_the_last_run_is_shown_at_the_step(tmp_path: Path) -> None:
    picture = tmp_path / "a b.png"
    made = (MadeFile(str(picture), "image/png", 512, 512),)
    last = LastRun("succeeded", 14.2, {"draw": StepRun("ran", 12.5, 3_000_000_000, made)})
    told = shown(at(pipeline(), '"draw"'), last=last)
    assert "last run: 12 s, 3.0 GB" in told and f"({picture.as_uri()}|width=256)" in told
    assert str(picture) in shown(at(pipeline(), '"draw"'), last=last, rich=False)


def test_the_flow_is_told_among_steps_that_are_none_or_have_no_name() -> None:
    used = '{"task": {"command": "crop_square", "arguments": {"image": "previous_result:a"}}}'
    told = shown(f'{{"id": "x", "steps": [1, {{"name": "|a", "task": {{}}}}, null, {used}]}}')
    assert "used by `step 4`" in told


def test_a_step_that_runs_for_each_result_says_how_often() -> None:
    text = pipeline(arguments={"prompt": ["a", "b", "c"], "num_images_per_prompt": 2})
    assert "gives 6 results" in shown(at(text, '"draw"'))
    assert "runs 6 times" in shown(at(text, '"cut"'))
    assert "runs" not in shown(at(pipeline(), '"cut"')), "once is not worth a word"


def test_a_variable_that_is_another_one_is_followed() -> None:
    told = shown('{"id": "x", "variables": {"a|": "variable:b", "b": "end", "c": "variable:c"}, "steps": []}')
    assert '"variable:b"' in told and '"end"' in told
    assert "which is" not in shown('{"id": "x", "variables": {"c|": "variable:c"}, "steps": []}')


def test_the_constraint_of_a_variable_is_told() -> None:
    constraint = '"variable_constraints": {"frames": {"min_frames": 5}}'
    assert '"min_frames": 5' in shown(f'{{"id": "x", "variables": {{"fra|mes": 9}}, {constraint}, "steps": []}}')


def test_values_of_variables_are_told_as_their_variable() -> None:
    assert "variable **`a`**" in shown('{"id": "x", "variables": {"a": "te|xt"}, "steps": []}')


def test_a_fence_in_a_value_does_not_end_its_block() -> None:
    assert shown('{"id": "x", "variables": {"a|": "```\\n![x](https://a.b/c)"}, "steps": []}').count("````") == 2


def test_items_of_a_list_are_told_as_their_list() -> None:
    text = pipeline(configuration={"component_type": "FluxPipeline", "shared_components": ["vae"]})
    assert shown(at(text, '"vae"')).startswith("**`shared_components`**")


def test_names_of_the_author_are_told_as_what_they_are_for() -> None:
    placement = {"text_encoder": {"truncate_layers": {"model.layers": 3}}}
    text = pipeline(configuration={"component_type": "FluxPipeline", "components": placement})
    assert shown(at(text, '"model.layers"')).startswith("**`truncate_layers`**")


def test_content_types_are_told_with_their_extension() -> None:
    result = '"result": {"content_type": "image/p|ng"}'
    assert "`.png`" in shown(f'{{"id": "x", "steps": [{{"name": "a", "task": {{}}, {result}}}]}}')


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ('"constant:a.B"', "a Python module"),
        ('"https://a.b/c.png"', "Path or address"),
        ('"location"', "Path or address"),
        ('"reference_type"', "Class of the object"),
        ('"from_arguments"', "Arguments with which it is made"),
    ],
)
def test_values_with_a_meaning_of_their_own_are_told(written: str, told: str) -> None:
    made = {"reference_type": "sdnq.Thing", "from_arguments": {"a": 1}}
    arguments = {"sigmas": "constant:a.B", "image": {"location": "https://a.b/c.png"}, "references": [made]}
    assert told in shown(at(pipeline(arguments=arguments), written))


@needs_diffusers
def test_keywords_of_the_loader_are_told_as_the_class_documents_them() -> None:
    loading = {"model_name": "a/b", "local_files_only": True}
    assert "local model weights" in shown(at(pipeline(from_pretrained_arguments=loading), '"local_files_only"'))


@needs_diffusers
def test_arguments_of_a_class_that_only_chooses_are_told() -> None:
    text = pipeline(configuration={"component_type": "AutoPipelineForText2Image"}, arguments={"true_cfg_scale": 4.0})
    told = shown(at(text, '"true_cfg_scale"'))
    assert "float" in told and "`AutoPipelineForText2Image` chooses" in told


@needs_diffusers
def test_arguments_of_a_class_that_is_absent_say_so() -> None:
    configuration = {"configuration": {"config_type": "nowhere.Config"}, "arguments": {"bits": 4}}
    part = {
        "configuration": {"component_type": "FluxTransformer2DModel"},
        "quantization_config": configuration,
        "from_pretrained_arguments": {"model_name": "a/b"},
    }
    told = shown(at(pipeline(transformer=part), '"bits"'))
    assert "argument of `nowhere.Config`" in told and "pip install nowhere" in told


def test_somebody_elses_prose_makes_no_links(tmp_path: Path) -> None:
    child = {"id": "child", "description": "![x](https://a.b/c.png)", "steps": []}
    (tmp_path / "child.dw.json").write_text(json.dumps(child), encoding="utf-8")
    call = '{"name": "a", "workflow": {"path": "./chi|ld.dw.json"}}'
    assert "!\\[x\\](" in shown(f'{{"id": "x", "steps": [{call}]}}', tmp_path)


def test_a_picture_on_the_workers_machine_is_named_and_not_shown() -> None:
    last = LastRun("succeeded", 1, {"draw": StepRun("ran", 1, None, (MadeFile("there/a.png", "image/png"),))})
    assert "`there/a.png`" in shown(at(pipeline(), '"draw"'), last=last)


def test_a_need_is_corrected_by_what_was_measured_on_such_a_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DW_CACHE", str(tmp_path))
    Measurements().note("cuda/UNet2DConditionModel:4/AutoencoderKL:4", 100, 300)
    text = at(pipeline(from_pretrained_arguments={"model_name": "./models/shapes"}), '"./models/shapes"')
    folder = ROOT / "workflows"
    assert "as measured here before" in shown(text, folder, device=Device("cuda", None))
    for other in (Device("cpu", None), None):
        assert "as measured here before" not in shown(text, folder, device=other)


@pytest.mark.parametrize("text", ["|", "{|}", '{"steps": [|]}', "// com|ment", '{"id": "x", "steps": [] |}', '["a|"]'])
def test_where_nothing_is_to_be_said_nothing_is_shown(text: str) -> None:
    assert shown(text) == ""


@pytest.mark.parametrize("file", WRITTEN, ids=lambda file: file.name)
def test_every_place_of_a_document_whole_or_cut_off_can_be_asked_about(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    workspace = DiskWorkspace([file.parent])
    whole = Document(file.as_uri(), text)
    for offset in range(0, len(text), 7):
        for document in (whole, Document(file.as_uri(), text[:offset])):
            found = hover(document, offset, workspace)
            assert found is None or found.text
