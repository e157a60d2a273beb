"""What is installed is found in its sources: names, kinds, what calls take; and doubts are told as doubts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dw_lsp.catalog.catalog import Catalog, catalog_for, catalog_of, forget_catalogs
from dw_lsp.catalog.environment import Environment, environment_of, pip_install
from dw_lsp.catalog.store import Store
from dw_lsp.settings import WorkerSettings


def names(catalog: Catalog, type_name: str, method: str) -> list[str]:
    entry = catalog.resolve(type_name).entry
    assert entry is not None
    signature = catalog.signature(entry, method)
    assert signature is not None
    return [parameter.name for parameter in signature.parameters]


def test_a_class_is_found_with_its_kind_and_module(catalog: Catalog) -> None:
    entry = catalog.resolve("FirstPipeline").entry
    assert entry is not None
    assert (entry.kind, entry.module, entry.written) == ("pipeline", "diffusers.pipelines", "FirstPipeline")


@pytest.mark.parametrize(
    ("name", "kind"), [("SlowScheduler", "scheduler"), ("SmallModel", "model"), ("DiffusionPipeline", None)]
)
def test_the_kind_is_told_from_the_bases(catalog: Catalog, name: str, kind: str | None) -> None:
    entry = catalog.resolve(name).entry
    assert (entry.kind if entry else None) == kind, "what the package does not offer by that name is not found bare"


def test_a_class_of_a_module_is_found_though_the_package_does_not_offer_it(catalog: Catalog) -> None:
    for name in ("diffusers.pipelines.SecondPipeline", "diffusers.schedulers.Reference"):
        assert catalog.resolve(name).status == "class"


def test_a_misspelt_name_gives_the_nearest_ones(catalog: Catalog) -> None:
    resolution = catalog.resolve("FirstPipelin")
    assert (resolution.status, resolution.near[0]) == ("unknown", "FirstPipeline")


def test_a_number_type_without_its_package_is_given_it(catalog: Catalog) -> None:
    assert catalog.resolve("bfloat16").near == ("torch.bfloat16",)
    assert catalog.resolve("torch.bfloat16").status == "value"
    assert catalog.resolve("torch.bfloat61").near[0] == "torch.bfloat16"


@pytest.mark.parametrize("name", ["torch.compile", "torch.nn.Linear"])
def test_what_only_running_could_tell_is_left_open(catalog: Catalog, name: str) -> None:
    assert catalog.resolve(name).status == "unread"


def test_a_class_whose_requirement_is_absent_names_it(catalog: Catalog) -> None:
    resolution = catalog.resolve("NeedyPipeline")
    assert (resolution.status, resolution.modules) == ("absent", ("sentencepiece",))


def test_a_package_that_is_absent_is_named(catalog: Catalog) -> None:
    assert catalog.resolve("sdnq.SDNQConfig").modules == ("sdnq",)


def test_other_values_of_a_package_are_no_mistakes(catalog: Catalog) -> None:
    assert catalog.resolve("logging").status == "value"


def test_a_call_is_read_with_annotations_defaults_and_documentation(catalog: Catalog) -> None:
    entry = catalog.resolve("FirstPipeline").entry
    assert entry is not None
    signature = catalog.signature(entry, "__call__")
    assert signature is not None and signature.open
    prompt, steps = signature.parameter("prompt"), signature.parameter("steps")
    assert prompt is not None and steps is not None
    assert (prompt.annotation, prompt.default, prompt.text) == ("str | list[str]", "None", "What is drawn, in words.")
    assert (steps.default, steps.required) == ("50", False)
    strength = signature.parameter("strength")
    assert strength is not None and strength.required


def test_keywords_that_are_documented_or_taken_out_are_known(catalog: Catalog) -> None:
    assert {"eta", "callback"} <= set(names(catalog, "FirstPipeline", "__call__"))


def test_keywords_that_are_passed_on_are_those_of_the_base(catalog: Catalog) -> None:
    found = names(catalog, "diffusers.pipelines.SecondPipeline", "__call__")
    assert found[0] == "width" and {"prompt", "steps", "eta"} <= set(found)


@pytest.mark.parametrize("name", ["BlockPipeline", "SpecialBlockPipeline"])
def test_a_modular_pipeline_takes_what_its_blocks_take(catalog: Catalog, name: str) -> None:
    entry = catalog.resolve(name).entry
    assert entry is not None and (signature := catalog.signature(entry, "__call__")) is not None
    assert [parameter.name for parameter in signature.parameters] == ["prompt", "steps"]
    assert signature.open and not any(parameter.required for parameter in signature.parameters)


def test_an_inherited_constructor_is_found(catalog: Catalog) -> None:
    assert names(catalog, "diffusers.pipelines.SecondPipeline", "__init__") == ["vae", "scheduler"]


def test_the_fields_of_a_dataclass_are_its_arguments(catalog: Catalog) -> None:
    assert names(catalog, "diffusers.schedulers.slow.Reference", "__init__") == ["image", "rate"]


def test_the_summary_is_the_first_paragraph(catalog: Catalog) -> None:
    entry = catalog.resolve("FirstPipeline").entry
    assert entry is not None and (source := catalog.source(entry)) is not None
    assert source.summary == "Draws pictures."
    assert entry.file.read_text(encoding="utf-8").split("\n")[source.line - 1].startswith("class FirstPipeline")


def test_lists_leave_out_what_cannot_be_used_here(catalog: Catalog) -> None:
    offered = ["BlockPipeline", "FirstPipeline", "SpecialBlockPipeline"]
    assert [entry.name for entry in catalog.of_kind("pipeline")] == offered
    assert [entry.name for entry in catalog.of_kind("scheduler")] == ["SlowScheduler"]


def test_what_was_read_is_kept_until_the_package_changes(
    catalog: Catalog, again: Callable[[], Catalog], site: Path, tmp_path: Path
) -> None:
    assert len(catalog.of_kind("pipeline")) == 3
    (site / "diffusers" / "pipelines.py").write_text("class OtherPipeline(DiffusionPipeline):\n    pass\n")
    assert len(again().of_kind("pipeline")) == 3, "it was not kept"
    (site / "diffusers" / "__init__.py").write_text('_import_structure = {"pipelines": ["OtherPipeline"]}\n')
    assert [entry.name for entry in again().of_kind("pipeline")] == ["OtherPipeline"], "an old state was taken"


def test_a_torn_file_of_the_store_is_read_anew(catalog: Catalog, again: Callable[[], Catalog], tmp_path: Path) -> None:
    assert catalog.resolve("FirstPipeline").entry is not None
    for file in (tmp_path / "kept").iterdir():
        file.write_text('{"classes": {"Fir', encoding="utf-8")
    assert again().resolve("FirstPipeline").entry is not None


def test_without_anything_installed_a_small_catalogue_stands_in() -> None:
    catalog = Catalog(Environment("python", ()), Store(None))
    assert not catalog.installed
    entry = catalog.resolve("FluxPipeline").entry
    assert entry is not None and entry.kind == "pipeline"
    signature = catalog.signature(entry, "__call__")
    assert signature is not None and signature.parameter("num_inference_steps") is not None
    assert catalog.resolve("FluxPipelin").near[0] == "FluxPipeline"
    assert catalog.resolve("PipelineOfTomorrow").status == "unread", "another version may have it"
    assert catalog.resolve("transformers.T5EncoderModel").status == "unread"
    assert len(catalog.of_kind("pipeline")) > 300


def test_another_interpreter_is_asked_for_its_packages() -> None:
    environment = environment_of(str(Path(sys.prefix) / "bin" / "python"))
    assert environment.problem is None
    assert environment.package("pygls") is not None


def test_the_interpreter_is_found_as_the_worker_s_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_VENV", sys.prefix)
    for setting in (sys.prefix, "$MY_VENV", "$MY_VENV/bin/python"):
        environment = environment_of(setting)
        assert environment.problem is None and environment.package("pygls") is not None, setting


def test_what_only_the_worker_s_variables_bring_is_seen(tmp_path: Path) -> None:
    (tmp_path / "made_up").mkdir()
    (tmp_path / "made_up" / "__init__.py").touch()
    worker = WorkerSettings(environment={"PYTHONPATH": str(tmp_path)})
    assert catalog_for(worker).environment.package("made_up") is not None
    assert catalog_for(WorkerSettings()).environment.package("made_up") is None


def test_an_interpreter_that_is_none_is_told() -> None:
    environment = environment_of("/nowhere/python")
    assert environment.search_path == () and "/nowhere/python" in (environment.problem or "")


def test_the_mend_names_the_distribution() -> None:
    assert pip_install("cv2") == "pip install opencv-python"


# ---------------------------------------------------------------- the real thing


@pytest.fixture(scope="module")
def installed() -> Catalog:
    catalog = catalog_of(None)
    if not catalog.installed:
        pytest.skip("diffusers is not installed here")
    return catalog


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("StableDiffusionPipeline", "pipeline"),
        ("AutoPipelineForText2Image", "pipeline"),
        ("ModularPipeline", "pipeline"),
        ("UNet2DConditionModel", "model"),
        ("EulerDiscreteScheduler", "scheduler"),
        ("BitsAndBytesConfig", "quantization"),
        ("transformers.T5EncoderModel", "model"),
        ("transformers.CLIPTokenizer", "tokenizer"),
        ("transformers.AutoModelForCausalLM", "model"),
    ],
)
def test_installed_classes_have_their_kind(installed: Catalog, name: str, kind: str) -> None:
    entry = installed.resolve(name).entry
    assert entry is not None and entry.kind == kind


def test_every_installed_pipeline_can_be_read_and_most_calls_are_known(installed: Catalog) -> None:
    pipelines = installed.of_kind("pipeline")
    known = [entry for entry in pipelines if installed.signature(entry, "__call__") is not None]
    assert len(pipelines) > 100 and len(known) >= 0.9 * len(pipelines)


def test_the_shipped_catalogue_agrees_with_what_is_installed(installed: Catalog) -> None:
    package = installed.environment.package("diffusers")
    assert package is not None
    if package.version != installed.shipped.version:
        pytest.skip(f"the shipped catalogue speaks of {installed.shipped.version}, installed is {package.version}")
    for entry in installed.shipped.by_kind()["scheduler"]:
        assert installed.resolve(entry.name).status in ("class", "absent")
    shipped = {entry.name for entry in installed.shipped.by_kind()["scheduler"]}
    assert {entry.name for entry in installed.of_kind("scheduler")} <= shipped


def test_the_list_of_pipelines_comes_from_what_was_kept(
    installed: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Catalog(installed.environment, Store(tmp_path)).of_kind("pipeline")
    monkeypatch.setattr("dw_lsp.catalog.catalog.scan", lambda package: pytest.fail("the sources were read again"))
    assert Catalog(installed.environment, Store(tmp_path)).of_kind("pipeline") == first


def test_a_package_that_is_installed_meanwhile_is_found_when_it_is_looked_for_anew(site: Path) -> None:
    environment = Environment("python", (site,))
    assert environment.package("sdnq") is None and not environment.has("sdnq")
    (site / "sdnq").mkdir()
    (site / "sdnq" / "__init__.py").write_text('__version__ = "1.2"\n', encoding="utf-8")
    assert not environment.has("sdnq"), "it was not kept, so each key stroke looks at the disk"
    forget_catalogs()
    package = environment.package("sdnq")
    assert environment.has("sdnq") and package is not None and package.version == "1.2"
