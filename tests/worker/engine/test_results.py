"""Files of results: what they are called, what they hold, what is embedded, and that nothing is ever overwritten."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image

from dw_lsp.protocol import RunEnded
from dw_lsp.text.syntax_tree import Range
from dw_lsp.worker.engine.artifact_codec import encode as artifact
from dw_lsp.worker.engine.results import Place, encode, write_artifact
from dw_lsp.worker.engine.run_folder import RunFolder
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

FRAMES = [Image.new("RGB", (8, 6), colour) for colour in ("red", "green", "blue")]


def step_with(**result: Any) -> ResolvedStep:
    return ResolvedStep(
        "draw", 0, "task", {}, {"content_type": "image/png", **result}, None, False, False, Range(0, 1), {}
    )


def write(folder: RunFolder, step: ResolvedStep, value: Any, place: Place) -> None:
    def nothing_is_stored(name: str) -> bytes:
        raise AssertionError(name)

    write_artifact(folder, step, artifact(value, {}), place, "{}", nothing_is_stored)


def names_in(folder: RunFolder) -> list[str]:
    return sorted(path.relative_to(folder.path).as_posix() for path in folder.path.rglob("*") if path.is_file())


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path, "my workflow", "run-1", 0.0)


# ---------------------------------------------------------------- names and places


def test_runs_never_share_a_folder(tmp_path: Path) -> None:
    folders = [RunFolder(tmp_path, "id", "run-1", 0.0).path for _ in range(3)]
    assert [path.name.rpartition("run-1")[2] for path in folders] == ["", "-2", "-3"]
    assert folders[0].parent == tmp_path / "id"


def test_a_clash_of_names_is_resolved_by_a_number(folder: RunFolder) -> None:
    for _ in range(3):
        write(folder, step_with(file_base_name="same"), FRAMES[0], Place("id", 0, 0))
    assert names_in(folder) == ["same.0-0.0-2.png", "same.0-0.0-3.png", "same.0-0.0.png"]


def test_an_object_is_written_member_by_member(folder: RunFolder) -> None:
    write(folder, step_with(), {"picture": FRAMES[0], "mask": FRAMES[1]}, Place("id", 1, 0))
    assert names_in(folder) == ["id-draw.0-1.0-mask.png", "id-draw.0-1.0-picture.png"]


def test_json_has_no_artifact_index(folder: RunFolder) -> None:
    write(folder, step_with(content_type="application/json"), {"a": 1}, Place("id", 2, 0))
    assert names_in(folder) == ["id-draw.0-2.json"]
    assert (folder.path / "id-draw.0-2.json").read_text() == '{\n    "a": 1\n}\n'


def test_a_subfolder_and_a_prefix(folder: RunFolder) -> None:
    write(folder, step_with(subfolder="a/b"), FRAMES[0], Place("id", 0, 0, "scene."))
    assert names_in(folder) == ["a/b/scene.id-draw.0-0.0.png"]


def test_an_output_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot be written"):
        RunFolder(tmp_path / "file", "id", "run-1")


def test_a_link_in_the_output_folder_is_not_followed_out_of_it(tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "outputs" / "id").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidInput, match="leads out of"):
        RunFolder(tmp_path / "outputs", "id", "run-1")


def test_no_partial_file_is_left(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Any, target: Any, **_: Any) -> None:
        raise OSError(28, "No space left on device")

    for name in ("replace", "link"):
        monkeypatch.setattr(f"dw_lsp.worker.engine.whole_files.os.{name}", full)
    with pytest.raises(InvalidInput, match="No space left on device"):
        write(folder, step_with(), FRAMES[0], Place("id", 0, 0))
    assert names_in(folder) == []


# ---------------------------------------------------------------- content


@pytest.mark.parametrize(
    ("content_type", "format"),
    [("image/png", "PNG"), ("image/jpeg", "JPEG"), ("image/webp", "WEBP"), ("image/bmp", "BMP")],
)
def test_a_picture_in_each_format(content_type: str, format: str, tmp_path: Path) -> None:
    data, width, height = encode(FRAMES[0], content_type, {}, "{}")
    (tmp_path / "picture").write_bytes(data)
    with Image.open(tmp_path / "picture") as picture:
        assert (picture.format, picture.size, (width, height)) == (format, (8, 6), (8, 6))


def test_frames_become_a_moving_picture(tmp_path: Path) -> None:
    data, _, _ = encode(FRAMES, "image/gif", {"fps": 4}, "{}")
    (tmp_path / "moving.gif").write_bytes(data)
    with Image.open(tmp_path / "moving.gif") as picture:
        assert (picture.n_frames, picture.info["duration"]) == (3, 250)  # type: ignore[attr-defined]


def test_frames_as_an_array() -> None:
    array = numpy.stack([numpy.asarray(frame) for frame in FRAMES]).astype(numpy.float32) / 255
    assert encode(array, "image/gif", {}, "{}")[0] == encode(FRAMES, "image/gif", {}, "{}")[0]


def test_an_array_of_one_picture_is_a_picture() -> None:
    depth = numpy.linspace(0, 1, 48, dtype=numpy.float32).reshape(1, 6, 8, 1)
    data, width, height = encode(depth, "image/png", {}, "{}")
    with Image.open(io.BytesIO(data)) as picture:
        assert (picture.mode, picture.size, (width, height)) == ("L", (8, 6), (8, 6))


def test_frames_are_no_single_picture() -> None:
    with pytest.raises(InvalidInput, match="3 frames"):
        encode(FRAMES, "image/png", {}, "{}")


@pytest.mark.parametrize(
    ("value", "content_type", "message"),
    [
        ("a text", "image/png", "cannot be written as a picture"),
        (FRAMES[0], "application/json", "JSON cannot express"),
        (FRAMES[0], "text/plain", "not a text but of the type image"),
    ],
)
def test_what_does_not_fit_its_content_type(value: Any, content_type: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        encode(value, content_type, {}, "{}")


def test_metadata_is_in_every_png_and_in_others_on_demand(tmp_path: Path) -> None:
    metadata = '{"prompt": "ein Fuß, 日本, 🦊"}'
    (tmp_path / "a.png").write_bytes(encode(FRAMES[0], "image/png", {}, metadata)[0])
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.text["dw-lsp"] == metadata  # type: ignore[attr-defined]
    for content_type in ("image/jpeg", "image/webp"):
        (tmp_path / "a").write_bytes(encode(FRAMES[0], content_type, {"embed_metadata": True}, metadata)[0])
        with Image.open(tmp_path / "a") as picture:
            comment = picture.getexif().get_ifd(0x8769)[0x9286]
        assert comment.removeprefix(b"UNICODE\0").decode("utf-16-be") == metadata
        assert len(encode(FRAMES[0], content_type, {}, metadata)[0]) < (tmp_path / "a").stat().st_size


@pytest.mark.parametrize(("asked", "names"), [(True, {"dw-lsp", "parameters"}), (None, {"dw-lsp"}), (False, set())])
def test_the_workflow_says_what_a_png_carries(asked: bool | None, names: set[str], folder: RunFolder) -> None:
    result = {} if asked is None else {"embed_metadata": asked}
    write(folder, step_with(**result), FRAMES[0], Place("id", 0, 0))
    (folder.path / "direct.png").write_bytes(encode(FRAMES[0], "image/png", result, "{}")[0])
    for name in names_in(folder):
        with Image.open(folder.path / name) as picture:
            assert picture.text == dict.fromkeys(names, "{}")  # type: ignore[attr-defined]
            assert picture.tobytes() == FRAMES[0].tobytes()


# ---------------------------------------------------------------- whole runs


def run_folder(ended: RunEnded) -> Path:
    assert ended.outcome == "succeeded", ended.error
    return Path(str(ended.results[0].path)).parent


def test_the_manifest_holds_what_repeats_the_run(worker: Any, make: Any, tmp_path: Path) -> None:
    content = make.workflow(make.drawing("variable:steps"), variables={"steps": 2})
    text = json.dumps(content) + "  // as the editor has it\n"
    ended = worker.run(text, tmp_path, arguments={"steps": 3})
    manifest = json.loads((run_folder(ended) / "manifest.json").read_text())
    assert manifest["text"] == text and manifest["arguments"] == {"steps": 3} and manifest["variables"] == {"steps": 3}
    assert manifest["seed"] == ended.seed and manifest["outcome"] == "succeeded"
    assert manifest["versions"]["torch"] and manifest["device"] == "cpu"
    result = manifest["results"][0]
    data = (run_folder(ended) / result["path"]).read_bytes()
    assert (result["sha256"], result["bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
    assert {part["name"] for part in manifest["components"]} >= {"unet", "vae"}
    again = worker.run(manifest["text"], tmp_path, arguments=manifest["arguments"], seed=manifest["seed"])
    assert Path(str(again.results[0].path)).read_bytes() == data


def test_the_workflow_in_a_picture_draws_it_again(worker: Any, make: Any, tmp_path: Path) -> None:
    content = make.workflow(make.drawing("variable:steps"), variables={"steps": 2})
    ended = worker.run(content, tmp_path)
    with Image.open(str(ended.results[0].path)) as picture:
        embedded = json.loads(picture.text["dw-lsp"])  # type: ignore[attr-defined]
        pixels = picture.tobytes()
    assert embedded["seed"] == ended.seed and embedded["step"] == "draw"
    again = worker.run(embedded["workflow"], tmp_path)
    with Image.open(str(again.results[0].path)) as picture:
        assert picture.tobytes() == pixels
    assert Path(str(again.results[0].path)).read_bytes() == Path(str(ended.results[0].path)).read_bytes()


def test_a_later_step_is_no_part_of_a_pictures_bytes(worker: Any, make: Any, tmp_path: Path) -> None:
    alone = worker.run(make.workflow(make.drawing(2), seed=1), tmp_path)
    size = make.task("size", "get_image_size", image="previous_result:draw")
    both = worker.run(make.workflow(make.drawing(2), size, seed=1), tmp_path)
    assert Path(str(alone.results[0].path)).read_bytes() == Path(str(both.results[0].path)).read_bytes()


def test_a_picture_tells_of_the_steps_that_it_follows_from_and_of_no_others(
    worker: Any, make: Any, tmp_path: Path
) -> None:
    base, other = make.drawing(2, name="base"), make.drawing(2, name="other", prompt="a green circle")
    text = make.task("text", "compose_text", parts=["a", "blue star"], separator=" ")
    calling = {
        "name": "calling",
        "pipeline_reference": {
            "reference_name": "base",
            "arguments": {"prompt": "previous_result:text", "num_inference_steps": 1},
        },
        "result": {"content_type": "image/png"},
    }
    ended = worker.run(make.workflow(base, other, text, calling, seed=4), tmp_path)
    drawn = {result.step: Path(str(result.path)) for result in ended.results}
    told = {}
    for name, path in drawn.items():
        with Image.open(path) as picture:
            told[name] = json.loads(picture.text["dw-lsp"])["workflow"]  # type: ignore[attr-defined]
    names = {name: [step["name"] for step in workflow["steps"]] for name, workflow in told.items()}
    assert names == {"base": ["base"], "other": ["other"], "calling": ["base", "text", "calling"]}
    again = worker.run(told["calling"], tmp_path)
    (found,) = (Path(str(result.path)) for result in again.results if result.step == "calling")
    assert found.read_bytes() == drawn["calling"].read_bytes()


def test_a_run_that_fails_leaves_its_manifest_and_what_was_made(worker: Any, make: Any, tmp_path: Path) -> None:
    bad = make.task("bad", "get_dict_value", dict={"a": 1}, key="b")
    ended = worker.run(make.workflow(make.drawing(1), bad), tmp_path)
    assert ended.outcome == "failed" and len(ended.results) == 1
    assert [step.outcome for step in ended.steps] == ["ran", "failed"]
    manifest = json.loads((Path(str(ended.results[0].path)).parent / "manifest.json").read_text())
    assert manifest["outcome"] == "failed" and "no member 'b'" in manifest["error"]["message"]


def test_a_refused_run_leaves_no_folder(worker: Any, make: Any, tmp_path: Path) -> None:
    worker.run(make.workflow(make.task("x", "nothing")), tmp_path)
    assert not (tmp_path / "outputs").exists()
