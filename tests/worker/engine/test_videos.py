"""Moving pictures: what a pipeline gives is written as a film, and a film is read as what a step works on."""

from __future__ import annotations

import io
import shutil
import time
from pathlib import Path
from typing import Any

import av
import numpy
import pytest
from PIL import Image

from dw_lsp.protocol import RunEnded, StepProgress
from dw_lsp.worker.engine.videos import decode_video, encode_video
from dw_lsp.workflow.resolved import InvalidInput

FILM = {"content_type": "video/mp4", "fps": 12}


@pytest.fixture
def folder(tmp_path: Path, families: dict[str, Path]) -> Path:
    shutil.copytree(families["video"], tmp_path / "model")
    (tmp_path / "clip.mp4").write_bytes(encode_video(moving(6), 8))
    return tmp_path


def moving(count: int, size: tuple[int, int] = (32, 24)) -> list[Image.Image]:
    """Frames that differ."""
    return [Image.new("RGB", size, (30 * number, 90, 200 - 20 * number)) for number in range(count)]


def film(**configuration: Any) -> dict[str, Any]:
    return {
        "name": "film",
        "pipeline": {
            "configuration": {"component_type": "WanPipeline", **configuration},
            "from_pretrained_arguments": {"model_name": "./model", "torch_dtype": "torch.float32"},
            "arguments": {
                "prompt": "a red circle", "width": 16, "height": 16, "num_frames": 5, "num_inference_steps": 2,
                "output_type": "pil", "max_sequence_length": 16,
            },
        },
        "result": FILM,
    }  # fmt: skip


def run(worker: Any, work: dict[str, Any], folder: Path, **fields: Any) -> RunEnded:
    ended: RunEnded = worker.run(work, folder, **fields)
    assert ended.outcome == "succeeded", ended.error
    return ended


def frames_of(path: str | None) -> list[Image.Image]:
    return decode_video(Path(str(path)).read_bytes(), "a film")


def test_a_pipeline_of_moving_pictures_is_written_as_a_film(worker: Any, make: Any, folder: Path) -> None:
    ended = run(worker, make.workflow(film(), seed=3), folder)
    (written,) = ended.results
    assert str(written.path).endswith(".mp4") and (written.width, written.height) == (16, 16)
    with av.open(str(written.path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.frames, stream.average_rate) == ("h264", 5, 12)
    again = run(worker, make.workflow(film(), seed=3), folder, output_directory=str(folder / "again"))
    assert Path(str(again.results[0].path)).read_bytes() == Path(str(written.path)).read_bytes()


def test_later_steps_work_on_its_frames(worker: Any, make: Any, folder: Path) -> None:
    work = make.workflow(
        film(),
        make.task("last", "get_last_frame", "image/png", video="previous_result:film"),
        make.task("part", "trim_video", "video/mp4", video="previous_result:film", start_frame=1, num_frames=2),
        make.task("long", "loop_frames", "video/mp4", video="previous_result:part", num_frames=5),
        make.task("both", "concat_videos", "video/mp4", videos=["previous_result:part", "previous_result:long"]),
        make.task("size", "get_image_size", "application/json", image="previous_result:last"),
        seed=3,
    )
    results = {each.step: each for each in run(worker, work, folder).results}
    counts = {name: len(frames_of(results[name].path)) for name in ("film", "part", "long", "both")}
    assert counts == {"film": 5, "part": 2, "long": 5, "both": 7}
    assert (results["last"].width, results["last"].height) == (16, 16)
    assert [step.outcome for step in run(worker, work, folder).steps] == ["reused"] * 6


@pytest.mark.parametrize(
    "value", ["clip.mp4", {"location": "clip.mp4"}, {"media_type": "video", "location": "clip.mp4"}]
)
def test_a_file_is_read_as_frames(value: Any, worker: Any, make: Any, folder: Path) -> None:
    work = make.workflow(make.task("third", "get_frame", "image/png", video=value, frame_index=2))
    with Image.open(str(run(worker, work, folder).results[0].path)) as image:
        red, green, blue = image.getpixel((5, 5))
    assert abs(red - 60) < 6 and abs(green - 90) < 6 and abs(blue - 160) < 6


@pytest.mark.parametrize("value", ["clip.mp4", {"media_type": "video", "location": "clip.mp4"}])
def test_an_image_processor_takes_a_video(value: Any, worker: Any, make: Any, folder: Path) -> None:
    work = make.workflow(make.task("small", "resize_rescale", "video/mp4", image=value, width=16, height=8))
    ended = run(worker, work, folder)
    assert (ended.results[0].width, ended.results[0].height) == (16, 8)
    assert len(decode_video(Path(str(ended.results[0].path)).read_bytes(), "small")) == 6


def test_another_file_of_that_name_is_another_input(worker: Any, make: Any, folder: Path) -> None:
    work = make.workflow(make.task("first", "get_first_frame", "image/png", video="clip.mp4"))
    run(worker, work, folder)
    assert run(worker, work, folder).steps[0].outcome == "reused"
    (folder / "clip.mp4").write_bytes(encode_video(moving(3)[::-1], 8))
    assert run(worker, work, folder).steps[0].outcome == "ran"


def test_gathered_videos_are_results_of_their_own(worker: Any, make: Any, folder: Path) -> None:
    (folder / "other.mp4").write_bytes(encode_video(moving(4), 8))
    work = make.workflow(
        make.task("clips", "gather_videos", glob="*.mp4"),
        make.task("first", "get_first_frame", "image/png", video="previous_result:clips"),
    )
    assert len(run(worker, work, folder).results) == 2


REFUSALS = {
    "absent": ({"video": "none.mp4"}, "there is no video 'none.mp4'"),
    "no video": ({"video": "model/model_index.json"}, "is no video that can be read"),
    "outside": ({"video": "/etc/passwd"}, "lies outside the folders"),
    "number": ({"video": 3}, "'video' should be a video"),
    "frame": ({"video": "clip.mp4", "frame_index": 9}, "there is no frame 9: the video has 6"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_is_no_video_is_refused(case: str, worker: Any, make: Any, folder: Path) -> None:
    arguments, message = REFUSALS[case]
    ended = worker.run(make.workflow(make.task("frame", "get_frame", "image/png", **arguments)), folder)
    assert ended.outcome == "failed" and message in ended.error.message


@pytest.mark.parametrize("size", [(32, 24), (33, 25), (1, 1)])
def test_frames_come_back_as_they_were(size: tuple[int, int]) -> None:
    frames = moving(4, size)
    back = decode_video(encode_video(frames, 23.976), "a film")
    assert len(back) == 4
    for frame, other in zip(frames, back, strict=True):
        cropped = other.crop((0, 0, *size))
        assert numpy.abs(numpy.asarray(frame, dtype=int) - numpy.asarray(cropped, dtype=int)).max() < 8


def test_a_cancel_takes_effect_while_a_film_is_saved(worker: Any, make: Any, folder: Path) -> None:
    large = numpy.random.default_rng(0).integers(0, 255, (2, 720, 1280, 3), dtype=numpy.uint8)
    (folder / "large.mp4").write_bytes(encode_video([Image.fromarray(frame) for frame in large], 24))
    clip = {"media_type": "video", "location": "large.mp4"}
    loop = make.task("loop", "loop_frames", "video/mp4", video=clip, num_frames=400)
    run_id = worker.begin(make.workflow(loop), folder)
    worker.wait_for(StepProgress, lambda message: message.phase == "saving" and message.unit == "frame")
    worker.cancel(run_id)
    began = time.monotonic()
    assert worker.wait_for(RunEnded).outcome == "cancelled"
    assert time.monotonic() - began < 3


def test_frames_of_two_sizes_are_no_film() -> None:
    with pytest.raises(InvalidInput, match="different sizes"):
        encode_video([*moving(2), Image.new("RGB", (8, 8))], 8)


def test_a_file_with_sound_alone_has_no_moving_picture(tmp_path: Path) -> None:
    data = io.BytesIO()
    with av.open(data, "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(numpy.zeros((1, 800), dtype=numpy.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(InvalidInput, match="no moving picture"):
        decode_video(data.getvalue(), "sound")
