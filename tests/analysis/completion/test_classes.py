"""Classes and number types: those that fit their place, the likeliest first."""

from __future__ import annotations

import json

import pytest

from dw_lsp.analysis.completion.complete import MOST_ITEMS, documentation_of
from dw_lsp.catalog.catalog import catalog_of
from tests.analysis.completion.conftest import Desk, drawing, step

if not catalog_of(None).installed:
    pytest.skip("diffusers is not installed here", allow_module_level=True)

PIPELINE = '{ "name": "x", "pipeline": { "configuration": { "component_type": "|" } } }'


def component(name: str, typed: str = "|") -> str:
    return drawing(f'"{name}": {{ "configuration": {{ "component_type": "{typed}" }} }}, ')


def test_a_pipeline_is_a_pipeline(desk: Desk) -> None:
    found = desk.complete(step(PIPELINE))
    assert found.is_incomplete and len(found.items) == MOST_ITEMS
    assert all(item.detail == "pipeline · diffusers" for item in found.items if item.kind == "class")


def test_letters_narrow_a_long_list(desk: Desk) -> None:
    labels = desk.labels(step(PIPELINE.replace("|", "Flux|")))
    assert labels[0] == "FluxPipeline" and "WanPipeline" not in labels


def test_a_class_is_accepted(desk: Desk) -> None:
    marked = drawing("").replace('"StableDiffusionPipeline"', '"StableDiff|"')
    assert desk.accept_soundly(marked, "StableDiffusionPipeline") == drawing("")


def test_a_component_is_what_the_pipeline_is_written_for(desk: Desk) -> None:
    assert desk.labels(component("vae"))[0] == "AutoencoderKL"
    assert desk.labels(component("text_encoder"))[0] == "transformers.CLIPTextModel"
    assert desk.labels(component("tokenizer"))[0] == "transformers.CLIPTokenizer"
    assert desk.labels(component("feature_extractor"))[0] == "transformers.CLIPImageProcessor"


@pytest.mark.parametrize(
    ("typed", "begins"), [("CLIPText|", '"CLIPTextModel'), ("transformers.CLIPT|", '"transformers.C')]
)
def test_a_class_is_found_with_and_without_its_package(desk: Desk, typed: str, begins: str) -> None:
    item = desk.item(component("text_encoder", typed), "transformers.CLIPTextModel")
    assert item.filter_text.startswith(begins)
    assert '"component_type": "transformers.CLIPTextModel"' in desk.accept(
        component("text_encoder", typed), "transformers.CLIPTextModel"
    )


def test_what_the_model_says_comes_first(desk: Desk) -> None:
    model = desk.folder / "models" / "mine"
    model.mkdir(parents=True)
    index = {"_class_name": "WanPipeline", "vae": ["diffusers", "AutoencoderKLWan"], "broken": [1]}
    (model / "model_index.json").write_text(json.dumps(index))
    local = step(PIPELINE).replace(
        '{ "component_type": "|" }',
        '{ "component_type": "|" }, "from_pretrained_arguments": { "model_name": "./models/mine" }',
    )
    assert desk.labels(local)[0] == "WanPipeline"
    assert desk.labels(component("vae").replace("owner/model", "./models/mine"))[0] == "AutoencoderKLWan"


def test_schedulers(desk: Desk) -> None:
    marked = drawing('"scheduler": { "configuration": { "scheduler_type": | } }, ')
    labels = desk.labels(marked)
    assert {"EulerDiscreteScheduler", "DDIMScheduler"} <= set(labels)
    assert not any("Pipeline" in label or "Autoencoder" in label for label in labels)
    desk.accept_soundly(marked, "DDIMScheduler")


def test_quantization_configs(desk: Desk) -> None:
    marked = drawing('"unet": { "quantization_config": { "configuration": { "config_type": "|" } } }, ')
    labels = desk.labels(marked)
    assert "." not in labels[0] and labels[0].endswith("Config") and "transformers.BitsAndBytesConfig" in labels
    assert "StableDiffusionPipeline" not in labels


def test_attention_processors_are_named_with_their_module(desk: Desk) -> None:
    marked = drawing("").replace(
        '"StableDiffusionPipeline"', '"StableDiffusionPipeline", "unet": { "attn_processor_type": | }'
    )
    assert "diffusers.models.attention_processor.AttnProcessor2_0" in desk.labels(marked)
    desk.accept_soundly(marked, "diffusers.models.attention_processor.AttnProcessor2_0")


@pytest.mark.parametrize("typed", ['"|"', '"torch.b|"', '"bfl|"', '"tor|', "|"])
def test_number_types(desk: Desk, typed: str) -> None:
    marked = drawing("").replace('"torch.float16"', typed)
    assert desk.labels(marked)[0] == "torch.bfloat16"
    assert desk.accept_soundly(marked, "torch.bfloat16") == drawing("").replace("torch.float16", "torch.bfloat16")


def test_number_types_of_components(desk: Desk) -> None:
    marked = drawing("").replace('"torch.float16"', '{ "unet": | }')
    assert desk.labels(marked)[0] == "torch.bfloat16"
    assert "vae" in desk.labels(drawing("").replace('"torch.float16"', '{ "unet": "torch.float16", | }'))


def test_plain_text_under_a_type_s_key_is_in_braces(desk: Desk) -> None:
    config = '{ "configuration": { "config_type": "BitsAndBytesConfig" }, "arguments": { "bnb_4bit_quant_type": | } }'
    assert desk.labels(drawing(f'"unet": {{ "quantization_config": {config} }}, '))[:2] == ["{nf4}", "{fp4}"]


def test_objects_of_arguments_are_those_of_the_annotation(desk: Desk) -> None:
    marked = drawing("", '"prompt": "x", "conditions": [{ "condition_type": "|" }]').replace(
        "StableDiffusionPipeline", "LTXConditionPipeline"
    )
    labels = desk.labels(marked)
    assert labels[0] == "diffusers.pipelines.ltx.pipeline_ltx_condition.LTXVideoCondition"
    fields = marked.replace('"|"', f'"{labels[0]}", "from_arguments": {{ | }}')
    assert {"frame_index", "strength"} <= set(desk.labels(fields))


def test_a_class_is_documented_on_demand(desk: Desk) -> None:
    item = desk.item(drawing("").replace('"StableDiffusionPipeline"', '"StableDiff|"'), "StableDiffusionPipeline")
    assert item.documentation == ""
    told = documentation_of(item, desk.workspace)
    assert "StableDiffusionPipeline`" in told and "text-to-image" in told
