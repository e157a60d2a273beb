"""Rules that ask what is installed, what is on the disk, what is allowed: found, not found, found when broken."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dw_lsp.analysis.diagnose import diagnose
from dw_lsp.analysis.findings import Finding
from dw_lsp.analysis.workspace import Device, DiskWorkspace
from dw_lsp.catalog.catalog import catalog_of
from dw_lsp.settings import SecuritySettings, Settings, WorkerSettings
from dw_lsp.text.document import Document
from dw_lsp.text.edits import apply_edits

if not catalog_of(None).installed:
    pytest.skip("diffusers is not installed here", allow_module_level=True)

#: Rules that every short example would break.
OFF = dict.fromkeys(("ineffective-step", "model-not-cached"), "off")


def pipeline(class_name: str = "StableDiffusionPipeline", arguments: Any = None, **members: Any) -> dict[str, Any]:
    body = {
        "configuration": {"component_type": class_name},
        "from_pretrained_arguments": {"model_name": "someone/model"},
        "arguments": {"prompt": "a cat"} if arguments is None else arguments,
    }
    return {"name": "draw", "pipeline": {**body, **members}, "result": {"content_type": "image/png"}}


def text_of(*steps: Any, **members: Any) -> str:
    return json.dumps({"id": "flow", **members, "steps": steps}, indent=2)


def found(text: str, folder: Path | None = None, settings: Settings | None = None) -> list[Finding]:
    uri = "untitled:flow" if folder is None else (folder / "flow.dw.json").as_uri()
    workspace = DiskWorkspace([folder] if folder else [], settings)
    return list(diagnose(Document(uri, text, language_id="dw-workflow"), workspace, OFF))


def told(text: str, folder: Path | None = None, settings: Settings | None = None) -> list[tuple[str, str, str]]:
    """Code, severity and the text at fault of each finding."""
    return [
        (each.code, each.severity, text[each.range.start : each.range.end]) for each in found(text, folder, settings)
    ]


def mended(text: str, code: str, folder: Path | None = None) -> str:
    """The text after the preferred fix of the only finding of a code."""
    (finding,) = [each for each in found(text, folder) if each.code == code]
    (fix,) = [fix for fix in finding.fixes if fix.preferred]
    return apply_edits(text, fix.edits)


# ---------------------------------------------------------------- classes


def test_a_sound_pipeline_gives_no_finding() -> None:
    arguments = {"prompt": "a cat", "num_inference_steps": 20, "guidance_scale": 7, "output_type": "{np}", "eta": None}
    scheduler = {"configuration": {"scheduler_type": "EulerDiscreteScheduler"}, "from_config_args": {"beta_end": 0.02}}
    assert told(text_of(pipeline(arguments=arguments, scheduler=scheduler))) == []


def test_an_unknown_class_is_told_with_the_nearest_and_mended() -> None:
    text = text_of(pipeline("StableDifusionPipeline"))
    assert told(text) == [("unknown-class", "error", '"StableDifusionPipeline"')]
    assert told(mended(text, "unknown-class")) == []


def test_an_unknown_class_is_told_in_a_broken_document() -> None:
    text = text_of(pipeline("StableDifusionPipeline")).replace('"prompt": "a cat"', '"prompt": ', 1)
    assert "unknown-class" in {code for code, _, _ in told(text)}


def test_a_class_that_transformers_has_is_given_its_package() -> None:
    part = {
        "configuration": {"component_type": "T5EncoderModel"},
        "from_pretrained_arguments": {"model_name": "someone/text", "torch_dtype": "torch.bfloat61"},
    }
    text = text_of(pipeline("StableDiffusion3Pipeline", text_encoder_3=part))
    assert told(text) == [
        ("unknown-class", "error", '"T5EncoderModel"'),
        ("unknown-class", "error", '"torch.bfloat61"'),
    ]
    assert "transformers.T5EncoderModel" in found(text)[0].message and "torch.bfloat16" in found(text)[1].message


def test_plain_text_under_a_type_s_key_is_put_in_braces() -> None:
    text = text_of(pipeline(arguments={"prompt": "a cat", "output_type": "latent"}))
    assert told(text) == [("unknown-class", "warning", '"latent"')]
    assert told(mended(text, "unknown-class")) == []


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("configuration", {"component_type": "EulerDiscreteScheduler"}),
        ("configuration", {"component_type": "UNet2DConditionModel"}),
        ("scheduler", {"configuration": {"scheduler_type": "StableDiffusionPipeline"}}),
        (
            "unet",
            {
                "configuration": {"component_type": "StableDiffusionPipeline"},
                "from_pretrained_arguments": {"model_name": "someone/model"},
            },
        ),
        (
            "unet",
            {
                "configuration": {"component_type": "UNet2DConditionModel"},
                "quantization_config": {"configuration": {"config_type": "UNet2DConditionModel"}, "arguments": {}},
                "from_pretrained_arguments": {"model_name": "someone/model"},
            },
        ),
    ],
)
def test_a_class_of_another_kind_is_told(member: str, value: Any) -> None:
    codes = {code for code, _, _ in told(text_of(pipeline(**{member: value})))}
    assert codes == {"wrong-class"}


def test_a_package_that_is_not_installed_is_a_warning_with_its_remedy() -> None:
    step = pipeline()
    step["pipeline"]["configuration"]["pre_load_modules"] = ["gguf_of_tomorrow"]
    allowed = Settings(security=replace(SecuritySettings(), allowed_modules=("diffusers", "gguf_of_tomorrow")))
    text = text_of(step)
    assert told(text, settings=allowed) == [("not-installed", "warning", '"gguf_of_tomorrow"')]
    assert "pip install gguf_of_tomorrow" in found(text, settings=allowed)[0].message


def test_with_a_worker_elsewhere_only_certain_mistakes_are_told() -> None:
    elsewhere = Settings(worker=replace(WorkerSettings(), command=("ssh", "box", "dw-lsp", "worker")))
    assert told(text_of(pipeline("PipelineOfTomorrow")), settings=elsewhere) == []
    assert told(text_of(pipeline("FluxPipelin")), settings=elsewhere)[0][0] == "unknown-class"


# ---------------------------------------------------------------- arguments of calls


def test_an_unknown_argument_is_an_error_and_mended() -> None:
    text = text_of(pipeline("FluxPipeline", {"prompt": "a cat", "num_inference_step": 20}))
    assert told(text) == [("unknown-argument", "error", '"num_inference_step"')]
    assert told(mended(text, "unknown-argument")) == []


def test_an_unknown_argument_is_a_warning_where_others_are_accepted() -> None:
    text = text_of(pipeline("StableDiffusionXLPipeline", {"prompt": "a cat", "num_inference_step": 20}))
    assert told(text) == [("unknown-argument", "warning", '"num_inference_step"')]


@pytest.mark.parametrize("class_name", ["AutoPipelineForText2Image", "ModularPipeline", "DiffusionPipeline"])
def test_what_only_the_model_decides_is_left_open_but_for_misspellings(class_name: str) -> None:
    arguments = {"anything": 1, "num_inference_steps": 20, "prompt": ["a", "b"], "image": "previous_result:draw"}
    assert {code for code, _, _ in told(text_of(pipeline(class_name, arguments)))} <= {"step-order"}
    text = text_of(pipeline(class_name, {"num_infernece_steps": 20, "height": "tall"}))
    assert told(text) == [
        ("unknown-argument", "warning", '"num_infernece_steps"'),
        ("argument-type", "warning", '"tall"'),
    ]


def test_a_loader_of_any_pipeline_is_judged_by_the_model_s_own_class(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model_index.json").write_text('{"_class_name": "FluxPipeline"}', encoding="utf-8")
    step = pipeline("DiffusionPipeline", {"prompt": "a cat", "eta": 1.0})
    step["pipeline"]["from_pretrained_arguments"]["model_name"] = "./model"
    assert told(text_of(step), tmp_path) == [("unknown-argument", "error", '"eta"')]


def test_a_modular_pipeline_is_judged_by_its_blocks_and_only_on_near_misses() -> None:
    text = text_of(pipeline("FluxModularPipeline", {"promt": "a cat", "configured_elsewhere": 1, "height": 512}))
    assert told(text) == [("unknown-argument", "warning", '"promt"')]


def test_a_pipeline_called_again_is_judged_as_the_step_it_refers_to() -> None:
    again = {"name": "again", "pipeline_reference": {"reference_name": "draw", "arguments": {"promt": "a dog"}}}
    text = text_of(pipeline("FluxPipeline"), again)
    assert told(text) == [("unknown-argument", "error", '"promt"')]


def test_arguments_of_a_scheduler_and_of_a_quantization_are_judged() -> None:
    scheduler = {"configuration": {"scheduler_type": "EulerDiscreteScheduler"}, "from_config_args": {"beta_ends": 0.02}}
    quantization = {
        "configuration": {"config_type": "BitsAndBytesConfig"},
        "arguments": {"load_in_4bits": True, "bnb_4bit_quant_type": "{nf4}"},
    }
    part = {
        "configuration": {"component_type": "UNet2DConditionModel"},
        "quantization_config": quantization,
        "from_pretrained_arguments": {"model_name": "someone/model"},
    }
    assert told(text_of(pipeline(scheduler=scheduler, unet=part))) == [
        ("unknown-argument", "error", '"beta_ends"'),
        ("unknown-argument", "warning", '"load_in_4bits"'),
    ]


def test_a_required_argument_is_missed_unless_a_chain_gives_it() -> None:
    step = pipeline("StableVideoDiffusionPipeline", {"num_frames": 9})
    step["result"]["content_type"] = "video/mp4"
    assert told(text_of(step)) == [("missing-argument", "error", "{")]
    assert told(mended(text_of(step), "missing-argument")) == []
    step["pipeline"]["chain"] = {"segments": 2, "segment_argument": "image"}
    assert told(text_of(step)) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_inference_steps", "many"),
        ("num_inference_steps", 20.5),
        ("num_inference_steps", True),
        ("guidance_scale", "high"),
        ("guidance_scale", {"a": 1}),
        ("prompt", 5),
        ("sigmas", [0.5, "x"]),
        ("return_dict", "yes"),
        ("joint_attention_kwargs", 3),
    ],
)
def test_a_value_that_cannot_fit_is_a_warning(name: str, value: Any) -> None:
    text = text_of(pipeline("FluxPipeline", {"prompt": "a cat", name: value}))
    assert [(code, severity) for code, severity, _ in told(text)] == [("argument-type", "warning")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_inference_steps", "variable:steps"),
        ("guidance_scale", 4),
        ("prompt", ["a cat", "a dog"]),
        ("prompt", None),
        ("prompt_embeds", "previous_result:x"),
        ("height", None),
        ("latents", "anything"),
        ("ip_adapter_image", {"location": "https://example.com/x.png"}),
        ("joint_attention_kwargs", {"scale": 0.5}),
        ("callback_on_step_end_tensor_inputs", ["latents"]),
    ],
)
def test_a_value_that_may_fit_is_left_alone(name: str, value: Any) -> None:
    text = text_of(pipeline("FluxPipeline", {"prompt": "a cat", name: value}), variables={"steps": 20})
    assert {code for code, _, _ in told(text)} <= {"unused-variable", "unknown-step"}


def test_a_component_that_the_pipeline_does_not_have_is_told() -> None:
    part = {
        "configuration": {"component_type": "FluxTransformer2DModel"},
        "from_pretrained_arguments": {"model_name": "someone/model"},
    }
    assert told(text_of(pipeline("FluxPipeline", transformr=part))) == [("unknown-argument", "error", '"transformr"')]
    assert told(text_of(pipeline("FluxPipeline", unet=part))) == [("unknown-argument", "error", '"unet"')]
    assert told(text_of(pipeline("FluxPipeline", transformer=part))) == []


# ---------------------------------------------------------------- files and models


def calling(path: str) -> dict[str, Any]:
    return {"name": "call", "workflow": {"path": path}}


def test_a_workflow_that_is_not_there_is_an_error_and_mended(tmp_path: Path) -> None:
    (tmp_path / "poster.dw.json").write_text(text_of(pipeline()), encoding="utf-8")
    text = text_of(calling("./potser.dw.json"))
    assert told(text, tmp_path) == [("unknown-file", "error", '"./potser.dw.json"')]
    assert told(mended(text, "unknown-file", tmp_path), tmp_path) == []


def test_a_picture_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    crop = {"name": "crop", "task": {"command": "crop_square", "arguments": {"image": "nowhere.png"}}}
    assert told(text_of(crop), tmp_path) == [("unknown-file", "warning", '"nowhere.png"')]
    assert told(text_of(crop)) == [], "a document that was never saved has no folder"
    (tmp_path / "nowhere.png").write_bytes(b"")
    assert told(text_of(crop), tmp_path) == []


def test_a_path_in_a_variable_is_told_at_the_variable(tmp_path: Path) -> None:
    text = text_of(calling("variable:flow"), variables={"flow": "./nowhere.dw.json"})
    assert told(text, tmp_path) == [("unknown-file", "error", '"./nowhere.dw.json"')]


@pytest.mark.parametrize("path", ["builtin:h3_context_ir.json", "https://example.com/x.json"])
def test_other_places_are_no_files(path: str, tmp_path: Path) -> None:
    assert told(text_of(calling(path)), tmp_path) == []


@pytest.mark.parametrize("path", ["../../private.png", "/etc/hostname", "~/x.png"])
def test_a_path_that_leaves_the_workspace_is_an_error(path: str, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    crop = {"name": "crop", "task": {"command": "crop_square", "arguments": {"image": path}}}
    assert told(text_of(crop), folder) == [("unsafe-path", "error", json.dumps(path))]


def test_a_folder_that_is_allowed_is_inside(tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "x.png").write_bytes(b"")
    crop = {"name": "crop", "task": {"command": "crop_square", "arguments": {"image": "../x.png"}}}
    allowed = Settings(security=replace(SecuritySettings(), allowed_paths=(str(tmp_path),)))
    assert told(text_of(crop), tmp_path / "flows")[0][0] == "unsafe-path"
    assert told(text_of(crop), tmp_path / "flows", allowed) == []


def test_workflows_that_call_each_other_are_told(tmp_path: Path) -> None:
    (tmp_path / "other.dw.json").write_text(text_of(calling("./flow.dw.json")), encoding="utf-8")
    text = text_of(calling("./other.dw.json"))
    (tmp_path / "flow.dw.json").write_text(text, encoding="utf-8")
    (cycle,) = found(text, tmp_path)
    assert cycle.code == "workflow-cycle" and "flow.dw.json → other.dw.json → flow.dw.json" in cycle.message
    assert [each.code for each in found(text_of(calling("./flow.dw.json")), tmp_path)] == ["workflow-cycle"]


def test_a_local_model_that_is_not_there_or_is_none_is_told(tmp_path: Path) -> None:
    step = pipeline()
    step["pipeline"]["from_pretrained_arguments"]["model_name"] = "./model"
    assert told(text_of(step), tmp_path) == [("unknown-model", "error", '"./model"')]
    (tmp_path / "model").mkdir()
    assert "holds no model" in found(text_of(step), tmp_path)[0].message
    (tmp_path / "model" / "model_index.json").write_text("{}", encoding="utf-8")
    assert told(text_of(step), tmp_path) == []


def test_a_model_of_the_hub_is_looked_for_in_the_worker_s_cache(tmp_path: Path) -> None:
    settings = Settings(worker=replace(WorkerSettings(), environment={"HF_HUB_CACHE": str(tmp_path / "hub")}))
    text = text_of(pipeline())
    workspace = DiskWorkspace([tmp_path], settings)
    document = Document((tmp_path / "flow.dw.json").as_uri(), text)
    (missing,) = [each for each in diagnose(document, workspace, {}) if each.code == "model-not-cached"]
    assert (missing.severity, text[missing.range.start : missing.range.end]) == ("information", '"someone/model"')
    snapshot = tmp_path / "hub" / "models--someone--model" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot.parent.parent / "refs").mkdir()
    (snapshot.parent.parent / "refs" / "main").write_text("abc", encoding="utf-8")
    assert [each.code for each in diagnose(document, workspace, {})] == []


# ---------------------------------------------------------------- security


def test_types_of_other_packages_are_refused_and_not_judged() -> None:
    assert told(text_of(pipeline("my_package.MyPipeline", {"anything": 1}))) == [
        ("unsafe-type", "error", '"my_package.MyPipeline"')
    ]
    step = pipeline(arguments={"prompt": "constant:os.environ"})
    step["pipeline"]["configuration"]["pre_load_modules"] = ["antigravity"]
    assert [code for code, _, _ in told(text_of(step))] == ["unsafe-type", "unsafe-type"]


def test_a_package_that_is_allowed_by_the_settings_is_not_refused() -> None:
    allowed = Settings(security=replace(SecuritySettings(), allowed_modules=("diffusers", "my_package")))
    assert [code for code, _, _ in told(text_of(pipeline("my_package.MyPipeline")), settings=allowed)] == [
        "not-installed"
    ]


@pytest.mark.parametrize("key", ["trust_remote_code", "custom_pipeline"])
def test_code_of_strangers_is_refused_unless_it_is_trusted(key: str) -> None:
    step = pipeline(arguments={"anything": 1})
    step["pipeline"]["from_pretrained_arguments"][key] = True if key == "trust_remote_code" else "someone/code"
    text = text_of(step)
    assert told(text) == [("unsafe-code", "error", f'"{key}"')]
    trusted = Settings(security=replace(SecuritySettings(), trust_remote_code=True))
    assert told(text, settings=trusted) == []
    step["pipeline"]["from_pretrained_arguments"][key] = False
    assert [code for code, _, _ in told(text_of(step))] == ["unknown-argument"], "now it is known what is called"


@pytest.mark.parametrize(
    "loading",
    [{"model_name": "someone/model", "use_safetensors": False}, {"from_single_file": "https://example.com/model.ckpt"}],
)
def test_weights_that_can_run_code_are_refused(loading: dict[str, Any]) -> None:
    text = text_of(pipeline(from_pretrained_arguments=loading))
    assert [code for code, _, _ in told(text)] == ["unsafe-weights"]
    allowed = Settings(security=replace(SecuritySettings(), allow_pickle=True))
    assert told(text, settings=allowed) == []


def test_a_folder_with_nothing_but_pickles_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model" / "unet"
    folder.mkdir(parents=True)
    (tmp_path / "model" / "model_index.json").write_text("{}", encoding="utf-8")
    (folder / "model.bin").write_bytes(b"")
    text = text_of(pipeline(from_pretrained_arguments={"model_name": "./model"}))
    assert told(text, tmp_path) == [("unsafe-weights", "error", '"./model"')]
    (folder / "model.safetensors").write_bytes(b"")
    assert told(text, tmp_path) == []


def test_every_rule_here_works_beside_a_mistake_of_the_text(tmp_path: Path) -> None:
    step = pipeline("FluxPipelin", {"prompt": "a cat"})
    step["pipeline"]["from_pretrained_arguments"] = {"model_name": "./nowhere", "trust_remote_code": True}
    text = text_of(step, calling("./none.dw.json"))
    codes = {code for code, _, _ in told(text, tmp_path)}
    assert codes == {"unknown-class", "unknown-model", "unsafe-code", "unknown-file"}
    for broken in (text.replace('"prompt": "a cat"', '"prompt": "a cat', 1), text.replace('"prompt":', '"pro', 1)):
        assert codes <= {code for code, _, _ in told(broken, tmp_path)}


# ---------------------------------------------------------------- memory


def weights_of(folder: Path, elements: int) -> None:
    """A file of so many 16-bit numbers, of which only the header is ever read."""
    header = json.dumps({"w": {"dtype": "F16", "shape": [elements], "data_offsets": [0, 2 * elements]}}).encode()
    folder.mkdir(parents=True)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + 2 * elements)


def model(folder: Path) -> Path:
    parts = {"unet": ["diffusers", "UNet2DConditionModel"], "text_encoder": ["transformers", "CLIPTextModel"]}
    weights_of(folder / "unet", 1_000_000)
    weights_of(folder / "text_encoder", 500_000)
    index = {"_class_name": "StableDiffusionPipeline", **parts}
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    return folder


def memory_told(folder: Path, device_bytes: int | None, **configuration: Any) -> list[str]:
    step = pipeline()
    step["pipeline"]["from_pretrained_arguments"] = {"model_name": "./model", "torch_dtype": "torch.float16"}
    arguments = configuration.pop("arguments", {})
    step["pipeline"]["arguments"] = {**step["pipeline"].get("arguments", {}), **arguments}
    step["pipeline"]["configuration"].update(configuration)
    document = Document((folder / "flow.dw.json").as_uri(), text_of(step))
    workspace = DiskWorkspace([folder], device=Device("cuda", device_bytes))
    return [each.message for each in diagnose(document, workspace, OFF) if each.code == "memory"]


def test_a_model_that_cannot_fit_is_told_with_both_sizes(tmp_path: Path) -> None:
    model(tmp_path / "model")
    (message,) = memory_told(tmp_path, 2_900_000)
    assert "./model need 3.0 MB" in message and "has 2.9 MB" in message
    assert memory_told(tmp_path, 3_100_000) == []
    assert memory_told(tmp_path, None) == [], "nobody knows the device yet"


def test_computing_a_large_picture_counts_as_the_least_it_can_take(tmp_path: Path) -> None:
    (model(tmp_path / "model") / "unet" / "config.json").write_text('{"block_out_channels": [320], "sample_size": 64}')
    large = {"width": 1024, "height": 1024}
    # 16 x 320 elements of two bytes for each of 128 x 128 latent pixels: 168 MB.
    (message,) = memory_told(tmp_path, 160_000_000, arguments=large)
    assert "need 3.0 MB, and computing at least 0.2 GB" in message
    assert memory_told(tmp_path, 180_000_000, arguments=large) == []
    unknown = {"width": "variable:size", "height": 1024}
    assert memory_told(tmp_path, 160_000_000, arguments=unknown) == [], "nobody knows how large it will be"


def test_offloading_needs_room_for_the_largest_part_alone(tmp_path: Path) -> None:
    model(tmp_path / "model")
    assert memory_told(tmp_path, 2_100_000, offload="model") == []
    assert memory_told(tmp_path, 1_900_000, offload="model") != []
    assert memory_told(tmp_path, 1_000, offload="sequential") == []
    assert memory_told(tmp_path, 1_000, device="cpu") == [], "it lies elsewhere"


@pytest.mark.parametrize(
    "name", ["x" * 300 + ".png", "./" + "y" * 5000, "./a\0b", "~nobody-of-that-name/x.png", "./\ud800"]
)
def test_a_name_that_no_system_takes_is_a_file_that_is_not_there(name: str, tmp_path: Path) -> None:
    crop = {"name": "crop", "task": {"command": "crop_square", "arguments": {"image": name}}}
    call = {"name": "call", "workflow": {"path": name}}
    draw = pipeline(from_pretrained_arguments={"model_name": name, "subfolder": name})
    codes = {code for code, _, _ in told(text_of(crop, call, draw), tmp_path)}
    assert codes <= {"unknown-file", "unknown-model", "unsafe-path"}
    assert codes or any(letter in name for letter in "\0\ud800"), "only what is no name at all is passed over"
