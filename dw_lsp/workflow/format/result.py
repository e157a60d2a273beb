"""What becomes of a step's results."""

from __future__ import annotations

from dw_lsp.workflow.format.shapes import FLAG, TEXT, AnyOf, NumberShape, ObjectShape, TextShape, key

CONTENT_TYPES = (
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/gif",
    "video/mp4",
    "audio/wav",
    "audio/flac",
    "audio/mpeg",
    "audio/mp3",
    "audio/ogg",
    "application/json",
    "text/plain",
)

RESULT = ObjectShape(
    "result",
    "How a step's results are written; without it nothing is saved.",
    (
        key(
            "content_type",
            TextShape(suggestions=CONTENT_TYPES),
            "MIME type of the results: it chooses how they are written and the files' extension.",
            required=True,
        ),
        key("save", FLAG, "Whether the results are written; later steps can use them either way.", default=True),
        key("file_base_name", TextShape(longest=200), "Front of the file names, in place of workflow and step."),
        key("fps", NumberShape(above=0), "Frames per second of a video or an animated GIF.", default=8),
        key("sample_rate", NumberShape(whole=True, above=0), "Samples per second of an audio file.", default=44100),
        key("samplerate", NumberShape(whole=True, above=0), "Samples per second of an audio file.", dialect="A",
            deprecated="sample_rate"),
        key("audio_sample_rate", NumberShape(whole=True, above=0), "Samples per second of a video's sound."),
        key("subtype", TEXT, "Encoding within an audio file."),
        key("format", TEXT, "Container of an audio file."),
        key("compression_level", NumberShape(least=0, most=1), "How hard an audio file is compressed."),
        key("bitrate_mode", TextShape(("CONSTANT", "AVERAGE", "VARIABLE")), "How bits are spread in an audio file."),
        key("embed_metadata", FLAG, "Whether the image carries what it was made from: as EXIF comment (JPEG, WebP) or "
            "under `parameters` (PNG). A PNG has it under `dw-lsp` in any case, unless this is false."),
        key("subfolder", AnyOf((TEXT,)), "Folder below the run's folder.", dialect="B"),
        key("role", TextShape(("final", "intermediate")), "Whether the result is what the run is for.", dialect="B"),
    ),
)  # fmt: skip
