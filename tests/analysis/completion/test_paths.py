"""Files, folders and models: beside the document, in the hub's cache, inside of a model."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from dw_lsp.settings import Settings
from tests.analysis.completion.conftest import Desk, drawing, step

IMAGE = '{ "name": "x", "task": { "command": "canny_cv", "arguments": { "image": TYPED } } }'


@pytest.fixture
def desk(desk: Desk) -> Desk:
    """A folder with images, workflows, models, and a cache of the hub."""
    for name in ("images/dog.jpg", "images/deep/fox.webp", "images/notes.txt", "films/sea.mp4", ".hidden/x.png"):
        path = desk.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 1500)
    (desk.folder / "child.dw.json").write_text(json.dumps({"id": "child", "steps": []}))
    (desk.folder / "flow.dw.json").write_text("{}")
    for name in ("mine", "other"):
        _model(desk.folder / "models" / name)
    hub = desk.folder / "cache" / "hub" / "models--owner--model"
    _model(hub / "snapshots" / "abc")
    (hub / "blobs").mkdir()
    (hub / "blobs" / "1").write_bytes(b"x" * 2_500_000)
    (hub / "refs").mkdir()
    (hub / "refs" / "main").write_text("abc")
    worker = dataclasses.replace(Settings().worker, environment={"HF_HUB_CACHE": str(desk.folder / "cache" / "hub")})
    return Desk(desk.folder, dataclasses.replace(Settings(), worker=worker))


def _model(folder: Path) -> None:
    (folder / "unet").mkdir(parents=True)
    (folder / "model_index.json").write_text('{ "_class_name": "StableDiffusionPipeline" }')
    (folder / "unet" / "diffusion.fp16.safetensors").write_bytes(b"")
    (folder / "unet" / "big.bf16-00001-of-00002.safetensors").write_bytes(b"")
    (folder / "style.safetensors").write_bytes(b"x" * 10)


@pytest.mark.parametrize("typed", ["|", '"|"', '"./|"', '"|'])
def test_images_and_folders_beside_the_document(desk: Desk, typed: str) -> None:
    marked = step(IMAGE.replace("TYPED", typed))
    labels = desk.labels(marked)
    assert {"./cat.png", "./images/", "./films/"} <= set(labels)
    assert not any("hidden" in label or "child" in label for label in labels)
    assert '"image": "./cat.png" }' in desk.accept_soundly(marked, "./cat.png")


def test_a_folder_is_gone_into(desk: Desk) -> None:
    text = desk.accept(step(IMAGE.replace("TYPED", '"./im|"')), "./images/")
    assert '"image": "./images/" }' in text
    marked = step(IMAGE.replace("TYPED", '"./images/|"'))
    labels = [label for label in desk.labels(marked) if label.startswith("./")]
    assert labels == ["./images/dog.jpg", "./images/deep/"]
    assert '"image": "./images/dog.jpg" }' in desk.accept_soundly(marked, "./images/dog.jpg")


def test_the_cursor_stays_inside_of_a_folder_s_quotes(desk: Desk) -> None:
    closed = desk.item(step(IMAGE.replace("TYPED", '"./im|"')), "./images/")
    assert closed.text == "./images/" and not closed.filter_text.startswith('"')
    assert desk.item(step(IMAGE.replace("TYPED", "|")), "./images/").text == '"./images/$0"'


def test_what_may_not_be_read_is_not_listed(desk: Desk) -> None:
    (desk.folder / "inside").mkdir()
    inner = Desk(desk.folder / "inside", desk.settings)
    labels = inner.labels(step(IMAGE.replace("TYPED", '"../|"')))
    assert not any(label.startswith("..") for label in labels)


def test_an_address_is_no_path(desk: Desk) -> None:
    labels = desk.labels(step(IMAGE.replace("TYPED", '"https://example.org/|"')))
    assert not any("example.org" in label for label in labels)


def test_workflows_but_not_this_one(desk: Desk) -> None:
    marked = step('{ "name": "x", "workflow": { "path": "|" } }')
    labels = desk.labels(marked)
    assert "./child.dw.json" in labels and "./flow.dw.json" not in labels and "./cat.png" not in labels
    assert "builtin:h3_context_ir.json" in labels
    assert '"path": "./child.dw.json"' in desk.accept(marked, "./child.dw.json")


def test_models_in_folders_and_in_the_cache(desk: Desk) -> None:
    marked = drawing("").replace('"owner/model"', '"|"')
    labels = desk.labels(marked)
    assert labels.index("./models/mine") < labels.index("owner/model") < labels.index("./models/")
    assert desk.item(marked, "owner/model").detail == "2.5 MB, in the cache"
    desk.accept_soundly(marked, "./models/mine")
    assert desk.accept_soundly(marked, "owner/model") == drawing("")


def test_parts_of_a_model(desk: Desk) -> None:
    for name in ("owner/model", "./models/mine"):
        marked = drawing('"unet": { "from_pretrained_arguments": { "model_name": "owner/model", KEY: | } }, ')
        marked = marked.replace("owner/model", name)
        assert "unet" in desk.labels(marked.replace("KEY", '"subfolder"'))
        assert {"fp16", "bf16"} <= set(desk.labels(marked.replace("KEY", '"variant"')))
    assert "main" in desk.labels(marked.replace("./models/mine", "owner/model").replace("KEY", '"revision"'))


def test_files_of_an_adapter(desk: Desk) -> None:
    marked = drawing('"loras": [{ "model_name": "./models/mine", "weight_name": "|" }], ')
    assert desk.labels(marked)[0] == "style.safetensors"
    assert desk.item(marked, "style.safetensors").detail == "10 bytes"
    inner = drawing('"loras": [{ "model_name": "./models/mine", "subfolder": "unet", "weight_name": "|" }], ')
    assert desk.labels(inner)[0].startswith("big")


def test_one_file_of_weights(desk: Desk) -> None:
    marked = drawing("").replace('"model_name": "owner/model"', '"from_single_file": "./models/mine/|"')
    assert "./models/mine/style.safetensors" in desk.labels(marked)


def test_a_document_that_is_no_file_has_no_paths(desk: Desk) -> None:
    desk.document = lambda text: type(Desk.document(desk, text))("untitled:x.dw.json", text)  # type: ignore[method-assign]
    assert not any(label.startswith("./") for label in desk.labels(step(IMAGE.replace("TYPED", "|"))))
