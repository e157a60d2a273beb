"""Sound: what a pipeline gives is written in all its forms, remembered, cut, joined and put beside a film's frames."""

from __future__ import annotations

import io
import shutil
import wave
from pathlib import Path
from typing import Any

import av
import numpy
import pytest
import torch
from PIL import Image

from dw_lsp.protocol import RunEnded
from dw_lsp.worker.engine import sound_files
from dw_lsp.worker.engine.joining import as_film, joined
from dw_lsp.worker.engine.seams import Cut, levelled
from dw_lsp.worker.engine.sound_files import FORMATS, decode_sound, encode_sound, problem_of, resampled
from dw_lsp.worker.engine.sounds import Film, Sound, channels
from dw_lsp.worker.engine.videos import encode_video
from dw_lsp.workflow.resolved import InvalidInput

RATE = 8000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, families: dict[str, Path]) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    shutil.copytree(families["sound"], folder / "model")
    (folder / "clip.mp4").write_bytes(encode_video(frames(8), 8, tone(1.0)))
    (folder / "tone.wav").write_bytes(encode_sound(tone(1.0), "audio/wav", {}))
    return folder


def tone(seconds: float, frequency: float = 440.0, rate: int = RATE, count: int = 1) -> Sound:
    """A sine of half the full scale."""
    wave_form = 0.5 * numpy.sin(2 * numpy.pi * frequency * numpy.arange(round(seconds * rate)) / rate)
    return Sound(numpy.stack([wave_form.astype(numpy.float32)] * count), rate)


def frames(count: int) -> list[Image.Image]:
    return [Image.new("RGB", (32, 24), (20 * number, 90, 10)) for number in range(count)]


def bell(content_type: str = "audio/wav", waveforms: int = 1, **result: Any) -> dict[str, Any]:
    return {
        "name": "bell",
        "pipeline": {
            "configuration": {"component_type": "StableAudioPipeline"},
            "from_pretrained_arguments": {"model_name": "./model", "torch_dtype": "torch.float32"},
            "arguments": {
                "prompt": "a bell", "num_inference_steps": 2, "audio_end_in_s": 0.5,
                "num_waveforms_per_prompt": waveforms,
            },
        },
        "result": {"content_type": content_type, **result},
    }  # fmt: skip


def run(worker: Any, work: dict[str, Any], folder: Path, **fields: Any) -> RunEnded:
    ended: RunEnded = worker.run(work, folder, **fields)
    assert ended.outcome == "succeeded", ended.error
    return ended


def heard(path: str | None) -> Sound:
    return decode_sound(Path(str(path)).read_bytes(), "a file")


def test_a_pipeline_of_sound_is_written_with_its_own_rate(worker: Any, make: Any, folder: Path) -> None:
    work = make.workflow(bell(waveforms=2), seed=3)
    first, second = run(worker, work, folder, output_directory=str(folder / "a")).results
    assert [Path(str(each.path)).name for each in (first, second)] == ["test-bell.0-0.0.wav", "test-bell.0-0.1.wav"]
    with wave.open(str(first.path)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (2, RATE, 3999)
    assert first.content_type == "audio/wav" and first.bytes == Path(str(first.path)).stat().st_size
    assert not numpy.array_equal(heard(first.path).samples, heard(second.path).samples)
    again = run(worker, work, folder, output_directory=str(folder / "b"))
    assert Path(str(again.results[0].path)).read_bytes() == Path(str(first.path)).read_bytes()


def test_sound_is_remembered_and_its_form_changes_nothing(worker: Any, make: Any, folder: Path) -> None:
    run(worker, make.workflow(bell(), seed=4), folder)
    lossless = run(worker, make.workflow(bell("audio/flac", subtype="PCM_24"), seed=4), folder)
    other = run(worker, make.workflow(bell(sample_rate=16_000), seed=4), folder)
    assert [step.outcome for step in (*lossless.steps, *other.steps)] == ["reused", "reused"]
    assert str(lossless.results[0].path).endswith(".flac")
    assert heard(other.results[0].path).samples.shape == (2, 7998)


def test_later_steps_work_on_sound(worker: Any, make: Any, folder: Path) -> None:
    tracks, span = ["previous_result:part", "tone.wav"], {"start_seconds": 0.1, "duration_seconds": 0.2}
    work = make.workflow(
        bell(save=False),
        make.task("part", "slice_audio", "audio/wav", audio="previous_result:bell", **span),
        make.task("both", "crossfade_audio", "audio/wav", audios=tracks, crossfade_ms=100),
        make.task("film", "pair_audio", "video/mp4", video="clip.mp4", audio="previous_result:both"),
        make.task("head", "trim_video", "video/mp4", video="previous_result:film", start_frame=0, num_frames=4),
        make.task("loop", "loop_frames", "video/mp4", video="previous_result:head", num_frames=6),
        make.task("all", "concat_videos", "video/mp4", videos=["previous_result:film", "previous_result:head"]),
        make.task("track", "slice_audio", "audio/flac", audio="previous_result:all"),
        make.task("rate", "gather_inputs", "application/json", rate="previous_result:film.fps"),
        seed=3,
    )
    ended = run(worker, work, folder)
    found = {each.step: each for each in ended.results}
    lengths = {name: heard(found[name].path).samples.shape[1] / RATE for name in ("part", "both", "track")}
    assert lengths == {"part": 0.2, "both": pytest.approx(1.1), "track": pytest.approx((8 + 4) / 8)}
    with av.open(str(found["loop"].path)) as container:
        assert (container.streams.video[0].frames, container.streams.audio[0].rate) == (6, RATE)
        assert container.streams.audio[0].duration == pytest.approx(6 / 8 * RATE, abs=1200)
    again = run(worker, work, folder)
    assert {step.outcome for step in again.steps} == {"reused"}


def test_a_file_of_sound_counts_by_its_content(worker: Any, make: Any, folder: Path) -> None:
    (folder / "mine.wav").write_bytes((folder / "tone.wav").read_bytes())
    work = make.workflow(make.task("cut", "slice_audio", "audio/wav", audio="mine.wav", duration_seconds=0.5))
    run(worker, work, folder)
    assert run(worker, work, folder).steps[0].outcome == "reused"
    (folder / "mine.wav").write_bytes(encode_sound(tone(1.0, 220), "audio/wav", {}))
    assert run(worker, work, folder).steps[0].outcome == "ran"


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "absent": ({"audio": "none.wav"}, "there is no sound 'none.wav'"),
    "no sound": ({"audio": "model/model_index.json"}, "is no sound that can be read"),
    "outside": ({"audio": "/etc/passwd"}, "lies outside the folders"),
    "number": ({"audio": 3}, "a value of the type int has no sound"),
    "end": ({"audio": "tone.wav", "start_seconds": 2}, "the sound is 1.000 s long"),
    "both": ({"audio": "tone.wav", "start_seconds": 2, "start_frame": 2}, "rule each other out"),
    "frames": ({"audio": "tone.wav", "start_frame": 2}, "needs 'fps'"),
    "lead": ({"audio": "tone.wav", "lead_frames": 2}, "needs 'start_frame'"),
    "early": ({"audio": "tone.wav", "start_frame": 1, "lead_frames": 2, "fps": 8}, "before frame 1"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_is_no_sound_is_refused(case: str, worker: Any, make: Any, folder: Path) -> None:
    arguments, message = REFUSALS[case]
    ended = worker.run(make.workflow(make.task("cut", "slice_audio", "audio/wav", **arguments)), folder)
    assert ended.outcome == "failed" and message in ended.error.message


def test_an_impossible_form_is_refused_before_anything_runs(worker: Any, make: Any, folder: Path) -> None:
    ended = worker.run(make.workflow(bell("audio/flac", subtype="VORBIS"), seed=3), folder)
    assert ended.outcome == "failed" and "FLAC has no encoding 'VORBIS'" in ended.error.message
    assert ended.steps[0].outcome == "notRun" and "PCM_24" in str(ended.error.hint)


def test_a_part_may_begin_some_frames_before_its_own(worker: Any, make: Any, folder: Path) -> None:
    (folder / "ramp.wav").write_bytes(
        encode_sound(Sound(numpy.linspace(0, 0.8, RATE)[None], RATE), "audio/wav", {"subtype": "FLOAT"})
    )
    span = {"audio": "ramp.wav", "fps": 8, "num_frames": 2}
    work = make.workflow(
        make.task("led", "slice_audio", "audio/wav", start_frame=4, lead_frames=2, **span),
        make.task("plain", "slice_audio", "audio/wav", start_frame=2, **span),
    )
    led, plain = run(worker, work, folder).results
    assert Path(str(led.path)).read_bytes() == Path(str(plain.path)).read_bytes()


def test_a_sound_is_fitted_to_its_video(worker: Any, make: Any, folder: Path) -> None:
    work = make.workflow(
        make.task("long", "pair_audio", "video/mp4", video="clip.mp4", audio="tone.wav", fps=16, fit="video"),
        make.task("track", "slice_audio", "audio/wav", audio="previous_result:long"),
        make.task("short", "pair_audio", "video/mp4", video="clip.mp4", audio="tone.wav", fps=4, fit="video"),
        make.task("silence", "slice_audio", "audio/wav", audio="previous_result:short", start_seconds=1.0),
    )
    found = {each.step: each for each in run(worker, work, folder).results}
    assert heard(found["track"].path).samples.shape[1] == RATE // 2
    silence = heard(found["silence"].path).samples
    assert silence.shape[1] == RATE and not silence.any()


def test_videos_are_joined_with_all_that_a_cut_may_have(worker: Any, make: Any, folder: Path) -> None:
    options = {"audio_bleed_ms": 200, "audio_bleed_gain_db": -6, "seam_fade_ms": 5, "sample_rate": 16_000}
    levels = {"match_levels": "peak", "match_levels_dbfs": -12}
    work = make.workflow(
        make.task("films", "gather_videos", urls=["clip.mp4"]),
        make.task("all", "concat_videos", videos=["previous_result:films"] * 2, **options, **levels),
        make.task("track", "slice_audio", "audio/wav", audio="previous_result:all"),
    )
    sound = heard(run(worker, work, folder).results[-1].path)
    assert (sound.sample_rate, sound.samples.shape[1]) == (16_000, 32_000)
    assert numpy.abs(sound.samples[:, :8000]).max() == pytest.approx(0.25, abs=0.02)
    ended = worker.run(make.workflow(make.task("all", "concat_videos", videos=[1], match_levels_dbfs=-3)), folder)
    assert "needs 'match_levels'" in ended.error.message


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("content_type", FORMATS)
@pytest.mark.parametrize("count", [1, 2])
def test_a_recording_comes_back(content_type: str, count: int) -> None:
    back = decode_sound(encode_sound(tone(0.5, rate=16_000, count=count), content_type, {}), "a file")
    assert back.samples.shape[0] == count
    assert back.samples.shape[1] / back.sample_rate == pytest.approx(0.5, abs=0.02)
    middle = channels(resampled(back, 16_000))[:, 2000:6000]
    assert abs(numpy.sqrt((middle**2).mean()) - 0.5 / numpy.sqrt(2)) < 0.02


def test_plain_files_need_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    told = encode_sound(tone(0.1, count=2), "audio/wav", {})
    monkeypatch.setattr(sound_files, "PACKAGE", "a_package_that_is_not_there")
    assert problem_of("audio/wav", {}) is None
    plain = encode_sound(tone(0.1, count=2), "audio/wav", {})
    difference = decode_sound(plain, "").samples - decode_sound(told, "").samples
    assert numpy.abs(difference).max() < 1e-4
    at_fault = problem_of("audio/mpeg", {})
    assert at_fault is not None and "pip install a_package_that_is_not_there" in str(at_fault[2])


def test_another_rate_keeps_the_pitch() -> None:
    other = channels(resampled(tone(1.0, rate=44_100), 22_050))[0]
    crossings = numpy.count_nonzero(numpy.diff(numpy.signbit(other)))
    assert abs(len(other) - 22_050) < 50 and abs(crossings - 880) < 5


@pytest.mark.parametrize(
    "samples",
    [
        numpy.zeros((0,)),
        numpy.zeros((2, 3, 4)),
        numpy.full(4, numpy.nan),
        numpy.zeros((100, 100)),
    ],
)
def test_what_cannot_be_heard(samples: Any) -> None:
    with pytest.raises(InvalidInput):
        channels(Sound(samples, RATE))


def test_samples_may_be_whole_numbers_or_stand_the_other_way_round() -> None:
    assert numpy.allclose(channels(Sound(torch.tensor([0, 16_384], dtype=torch.int16))), [[0, 0.5]])
    assert channels(Sound(numpy.zeros((100, 2)))).shape == (2, 100)


# ---------------------------------------------------------------- joining


def test_picture_and_sound_stay_together() -> None:
    parts = [Film(frames(8), tone(1.2), 8.0), Film(frames(8), None, 8.0), Film(frames(8), tone(0.9, count=2), 8.0)]
    whole = joined(parts, 2, 0.05)
    assert len(whole.frames) == 8 + 6 + 6 and whole.audio is not None
    samples = channels(whole.audio)
    assert samples.shape == (2, round(20 / 8 * RATE))
    quiet = samples[:, round(8 / 8 * RATE) + 10 : round(13 / 8 * RATE)]
    assert numpy.abs(quiet).max() == 0 and numpy.abs(samples[:, :RATE]).max() > 0.4


def test_where_nothing_is_left_out_a_sound_dies_away_in_the_next() -> None:
    parts = [Film(frames(8), tone(1.0), 8.0), Film(frames(8), Sound(numpy.zeros((1, RATE), numpy.float32), RATE), 8.0)]
    samples = channels(joined(parts, 0, 0.05, Cut(bleed=0.5, gain=0.5)).audio)[0]
    assert len(samples) == 2 * RATE and numpy.array_equal(samples[:RATE], tone(1.0).samples[0])
    assert numpy.abs(samples[RATE : RATE + 50]).max() > 0.2 and numpy.abs(samples[RATE + RATE // 2 :]).max() == 0
    early, late = samples[RATE : RATE + 800], samples[RATE + 3200 : RATE + 4000]
    assert numpy.abs(early).max() > 4 * numpy.abs(late).max()


def test_a_seam_is_faded_so_as_not_to_click() -> None:
    loud = Sound(numpy.full((1, RATE), 0.5, numpy.float32), RATE)
    samples = channels(joined([Film(frames(8), loud, 8.0)] * 2, 0, 0.0, Cut(fade=0.1)).audio)[0]
    assert samples[RATE - 1] == samples[RATE] == 0 and samples[RATE - 400] == pytest.approx(0.25, abs=0.01)
    assert (samples[: RATE - 800] == 0.5).all() and (samples[RATE + 800 :] == 0.5).all()
    assert (channels(joined([Film(frames(8), loud, 8.0)] * 2, 0, 0.0).audio) == 0.5).all()


@pytest.mark.parametrize(("measure", "level", "power"), [("rms", None, 0.1), ("rms", -26, 0.05), ("peak", -6, 0.354)])
def test_sounds_are_brought_to_one_level(measure: Any, level: float | None, power: float) -> None:
    loud, soft = tone(1.0), Sound(tone(1.0).samples * 0.1, RATE)
    found = levelled([Film(frames(8), each, 8.0) for each in (loud, soft)], measure, level)
    for film in found:
        assert film.audio is not None
        assert numpy.sqrt((channels(film.audio) ** 2).mean()) == pytest.approx(power, rel=0.02)


def test_no_sound_is_made_too_loud_and_silence_stays_silence(caplog: pytest.LogCaptureFixture) -> None:
    click = numpy.zeros((1, RATE), numpy.float32)
    click[0, 5] = 0.5
    parts = [Film(frames(8), Sound(each, RATE), 8.0) for each in (click, numpy.zeros((1, RATE)))]
    loud, silent = levelled([*parts, Film(frames(8), None, 8.0)], "rms")[:2]
    assert loud.audio is not None and silent.audio is not None
    assert channels(loud.audio).max() == pytest.approx(10 ** (-0.5 / 20)) and not channels(silent.audio).any()
    assert "the sound of video 0 cannot be as loud as -20 dB" in caplog.text


def test_sound_without_a_known_frame_rate_cannot_be_joined() -> None:
    with pytest.raises(InvalidInput, match="how many frames a second"):
        joined([Film(frames(2), tone(1.0)), as_film(frames(2))], 0, 0.0)


def test_a_film_is_written_with_sound(make: Any) -> None:
    data = encode_video(frames(8), 8, tone(1.0, rate=17_000, count=2))
    assert data == encode_video(frames(8), 8, tone(1.0, rate=17_000, count=2))
    with av.open(io.BytesIO(data)) as container:
        assert container.streams.audio[0].rate == 22_050 and container.streams.audio[0].channels == 2
    with pytest.raises(InvalidInput, match="has 3 channels"):
        encode_video(frames(2), 8, tone(1.0, count=3))
