"""Artifacts as files: how each content type is written, what the files are called, what is embedded in them."""

from __future__ import annotations

import io
import json
import logging
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy
from PIL import Image

from dw_lsp.planning.artifact import IMAGE, Artifact, ObjectArtifact
from dw_lsp.planning.output_names import extension_of, result_stem, safe_name
from dw_lsp.text.syntax_tree import Value
from dw_lsp.worker.engine.artifact_codec import PNG_MODES, Reader, live
from dw_lsp.worker.engine.artifacts import as_images, is_frames, kind_of
from dw_lsp.worker.engine.run_folder import RunFolder, WrittenFile
from dw_lsp.worker.engine.sound_files import FORMATS as SOUND_FORMATS
from dw_lsp.worker.engine.sound_files import encode_sound, resampled
from dw_lsp.worker.engine.sounds import Film, as_sound
from dw_lsp.worker.engine.videos import FrameDone, encode_video, uncounted
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

logger = logging.getLogger(__name__)

DEFAULT_FPS = 8.0
#: Under which names a PNG has what it was made from: ours, and the format's where the workflow asks for it.
METADATA_KEY, ASKED_KEY = "dw-lsp", "parameters"
#: Of 9: twice as fast as the usual 6, for a file that is a few hundredths larger.
PNG_LEVEL = 4
JPEG_QUALITY = 95
#: Bytes of a PNG's signature and of the header that comes first.
_PNG_HEADER = 8 + 25
_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286
#: Pillow's name of each picture format.
_FORMATS = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/jpg": "JPEG",
    "image/webp": "WEBP",
    "image/bmp": "BMP",
    "image/tiff": "TIFF",
    "image/gif": "GIF",
}


@dataclass(frozen=True)
class Written:
    """An artifact that was written, or kept for later steps only (`file` is `None`)."""

    file: WrittenFile | None
    content_type: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True)
class Place:
    """Which artifact of a step: the workflow's id, the result's and artifact's index, what stands before the name."""

    workflow: str
    result_index: int
    artifact_index: int
    prefix: str = ""


def write_artifact(
    folder: RunFolder,
    step: ResolvedStep,
    artifact: Artifact,
    place: Place,
    metadata: str,
    read: Reader,
    frame_done: FrameDone = uncounted,
) -> list[Written]:
    """Write one artifact as its step's `result` says; an object is written member by member, unless as JSON.

    Arguments: `metadata` is what is embedded: in a PNG unless the workflow forbids it, in JPEG and WebP where it asks
    for it; `read` gives the stored objects of artifacts that were remembered; `frame_done` is called after each frame
    of a film.
    Raises `InvalidInput` when the artifact does not fit the content type, or the disk does not take it.
    """
    result = step.result or {}
    content_type = _kind(result)
    if result.get("save") is False:
        return [Written(None, content_type, *(artifact.image_size or (None, None)))]
    if isinstance(artifact, ObjectArtifact) and not content_type.endswith("json"):
        members = {f"-{safe_name(name)}": artifact[name] for name in artifact}
    else:
        members = {"": artifact}
    return [_write(folder, step, value, place, metadata, ending, read, frame_done) for ending, value in members.items()]


def _kind(result: Mapping[str, Value]) -> str:
    content_type = result.get("content_type")
    return content_type.partition(";")[0].strip().lower() if isinstance(content_type, str) else ""


def _write(
    folder: RunFolder,
    step: ResolvedStep,
    value: Artifact,
    place: Place,
    metadata: str,
    ending: str,
    read: Reader,
    frame_done: FrameDone,
) -> Written:
    result = step.result or {}
    content_type = _kind(result)
    try:
        data, width, height = _encode_artifact(value, content_type, result, metadata, read, frame_done)
    except InvalidInput as error:
        message = f"the result of step {step.name!r} cannot be written as {content_type}: {error.message}"
        raise InvalidInput(message, step.place("result", "content_type"), step.name, error.hint) from error
    base, subfolder = result.get("file_base_name"), result.get("subfolder")
    stem = result_stem(
        place.workflow,
        step.name,
        step.index,
        place.result_index,
        None if content_type.endswith("json") else place.artifact_index,
        base if isinstance(base, str) else None,
    )
    name = f"{place.prefix}{stem}{ending}{extension_of(content_type)}"
    try:
        file = folder.write(name, data, subfolder if isinstance(subfolder, str) else None)
    except OSError as error:
        raise InvalidInput(
            f"{folder.path / name} cannot be written: {error.strerror or error}", None, step.name
        ) from error
    return Written(file, content_type, width, height)


def _encode_artifact(
    artifact: Artifact,
    content_type: str,
    result: Mapping[str, Value],
    metadata: str,
    read: Reader,
    frame_done: FrameDone,
) -> tuple[bytes, int | None, int | None]:
    size = artifact.image_size
    if content_type != "image/png" or size is None:
        return encode(live(artifact, read), content_type, result, metadata, frame_done)
    png = artifact.png
    if png is None:
        stored = artifact.stored.get(artifact.tree[IMAGE]["content"], "")
        png = read(stored) if stored.endswith(".png") else plain_png(live(artifact, read))
    if artifact.tree[IMAGE]["mode"] in PNG_MODES:
        artifact.png = png
    return _with_metadata(png, result, metadata), *size


def encode(
    value: Any, content_type: str, result: Mapping[str, Value], metadata: str, frame_done: FrameDone = uncounted
) -> tuple[bytes, int | None, int | None]:
    """An artifact as the bytes of a file, with a picture's width and height.

    The same artifact gives the same bytes. Raises `InvalidInput` when it does not fit the content type.
    """
    if content_type == "video/mp4":
        return _encode_film(value, result, frame_done)
    if content_type in SOUND_FORMATS:
        return encode_sound(as_sound(value), content_type, result), None, None
    if content_type in _FORMATS:
        return _encode_picture(value, content_type, result, metadata)
    if content_type.endswith("json"):
        return _encode_json(value), None, None
    if not isinstance(value, str):
        raise InvalidInput(f"it is not a text but of the type {kind_of(value)}")
    return value.encode("utf-8", "surrogatepass"), None, None


def _encode_film(value: Any, result: Mapping[str, Value], frame_done: FrameDone) -> tuple[bytes, int, int]:
    """Frames with their sound, if there is one and its samples a second are known."""
    frames = as_images(value)
    sound = value.audio if isinstance(value, Film) else None
    rate = result.get("audio_sample_rate")
    if sound is not None and isinstance(rate, int):
        sound = resampled(sound, rate)
    if sound is not None and sound.sample_rate is None:
        logger.warning("a film is written without its sound: name its samples a second as `audio_sample_rate`")
        sound = None
    return encode_video(frames, _fps(result, value), sound, frame_done), *frames[0].size


def _fps(result: Mapping[str, Value], value: Any = None) -> float:
    """Frames a second: as the step's `result` says, else as the film does."""
    rate = result.get("fps")
    rate = value.fps if rate is None and isinstance(value, Film) else rate
    return float(rate) if isinstance(rate, (int, float)) else DEFAULT_FPS


def _encode_json(value: Any) -> bytes:
    try:
        text = json.dumps(value, ensure_ascii=False, indent=4)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"it holds what JSON cannot express ({error})") from error
    return (text + "\n").encode("utf-8", "surrogatepass")


def _encode_picture(
    value: Any, content_type: str, result: Mapping[str, Value], metadata: str
) -> tuple[bytes, int | None, int | None]:
    images = as_images(value)
    options: dict[str, Any] = {}
    if content_type == "image/gif":
        duration = round(1000 / _fps(result, value))
        options = {"save_all": True, "append_images": images[1:], "duration": duration, "loop": 0}
    elif len(images) != 1 or (is_frames(value) and not _is_batch_of_one(value)):
        raise InvalidInput(f"it has {len(images)} frames", hint="Write frames as video/mp4 or image/gif.")
    elif content_type == "image/png":
        png = _with_metadata(plain_png(images[0]), result, metadata)
        return png, images[0].width, images[0].height
    elif content_type in ("image/jpeg", "image/jpg", "image/webp"):
        options = {"quality": JPEG_QUALITY}
        if result.get("embed_metadata"):
            options["exif"] = _exif(metadata)
    image = images[0]
    if content_type in ("image/jpeg", "image/jpg") and image.mode not in ("RGB", "L"):
        image = image.convert("RGB")
    data = io.BytesIO()
    image.save(data, _FORMATS[content_type], **options)
    return data.getvalue(), image.width, image.height


def _is_batch_of_one(value: Any) -> bool:
    """Whether it is an array of one picture, as predictions of depth and the like come."""
    return isinstance(value, numpy.ndarray) and len(value) == 1


def plain_png(image: Image.Image) -> bytes:
    """A picture as a PNG without metadata."""
    data = io.BytesIO()
    image.save(data, "PNG", compress_level=PNG_LEVEL)
    return data.getvalue()


def _with_metadata(png: bytes, result: Mapping[str, Value], metadata: str) -> bytes:
    """A PNG with what it was made from: a picture is the way back to its workflow, unless that says otherwise."""
    asked = result.get("embed_metadata")
    for name in () if asked is False else (ASKED_KEY, METADATA_KEY) if asked else (METADATA_KEY,):
        png = with_text(png, name, metadata)
    return png


def with_text(png: bytes, name: str, text: str) -> bytes:
    """A PNG with a text under a name, in the place where a reader finds it before the picture."""
    # Half of a surrogate pair cannot be written in UTF-8; JSON's own escape says the same.
    content = name.encode() + bytes(5) + text.encode("utf-8", "backslashreplace")
    chunk = b"iTXt" + content
    chunk = struct.pack(">I", len(content)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return png[:_PNG_HEADER] + chunk + png[_PNG_HEADER:]


def _exif(metadata: str) -> Any:
    """EXIF data with the metadata as the user's comment, in the encoding that the standard calls UNICODE."""
    exif = Image.Exif()
    exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = b"UNICODE\0" + metadata.encode("utf-16-be", "surrogatepass")
    return exif
