"""Task commands on videos, with or without sound."""

from __future__ import annotations

from dw_lsp.workflow.format.command import (
    ABOVE_ZERO,
    AUDIO,
    COUNT,
    COUNT_FROM_ZERO,
    FRAMES_PER_SECOND,
    FROM_ZERO,
    FULL_SCALE,
    SAMPLE_RATE,
    VIDEO,
    Command,
    needed,
    one_of,
    optional,
)
from dw_lsp.workflow.format.shapes import (
    ANY,
    ARGUMENTS,
    FLAG,
    NUMBER,
    TEXT,
    TEXTS,
    AnyOf,
    ListShape,
    NumberShape,
)

_FRAMES = needed("video", VIDEO, "The video.")
_CLIP = needed("clip", VIDEO, "The video.")
_VIDEOS = needed("videos", ListShape(ANY), "The videos.")
_SHOTS = optional("shots", ANY, "Where the shots lie.")
_LATENTS = needed("latents", ANY, "What the model gave, not yet decoded.")
_MATCH_LEVELS = (
    optional(
        "match_levels",
        one_of("rms", "peak"),
        "Brings the sounds to one loudness: by power or loudest sample.",
        dialect="B",
    ),
    optional("match_levels_dbfs", NUMBER, "Which loudness, in dB below full scale.", dialect="B"),
)
_SIZE = (needed("width", COUNT, "Width in pixels."), needed("height", COUNT, "Height in pixels."))
_LENGTH = needed("num_frames", COUNT, "Number of frames.")
_FADES = (
    optional("fade_in_frames", COUNT_FROM_ZERO, "Frames of the rise from the colour.", 0),
    optional("fade_out_frames", COUNT_FROM_ZERO, "Frames of the fall to the colour.", 0),
)

_JOINING = (
    Command(
        "concat_videos",
        "Joins videos with their sound.",
        (
            _VIDEOS,
            optional("trim_frames", COUNT_FROM_ZERO, "Frames dropped at the head of each video but the first.", 0),
            optional("crossfade_ms", FROM_ZERO, "Crossfade of the sound in milliseconds.", 75),
            optional("audio_bleed_ms", FROM_ZERO, "How long the end of a sound dies away in the next.", 0, dialect="B"),
            optional("audio_bleed_gain_db", NUMBER, "How loud it then is.", 0, dialect="B"),
            optional("seam_fade_ms", FROM_ZERO, "Fade of the sound at each seam.", dialect="B"),
            FRAMES_PER_SECOND,
            *_MATCH_LEVELS,
            SAMPLE_RATE,
        ),
        "video",
    ),
    Command(
        "dissolve_videos",
        "Joins videos so that each fades into the next.",
        (
            _VIDEOS,
            optional("dissolve_frames", COUNT_FROM_ZERO, "Frames that two videos share.", 12),
            *_FADES,
            optional("fade_color", AnyOf((ListShape(NUMBER), TEXT)), "The colour.", [0, 0, 0]),
            FRAMES_PER_SECOND,
            *_MATCH_LEVELS,
            optional("sample_rate", ANY, "Samples per second."),
        ),
        "video",
        dialect="B",
    ),
    Command(
        "gather_videos",
        "Gives videos from a pattern and from addresses, each a result of its own.",
        (
            optional("glob", TEXT, "Pattern such as clips/*.mp4."),
            optional("urls", AnyOf((TEXTS, ListShape(ARGUMENTS))), "Addresses or paths."),
        ),
        "video",
    ),
    Command(
        "join_into_song",
        "Puts shots with dialogue and shots with song over one song.",
        (
            needed("dialogue", ANY, "Shots in which is spoken."),
            needed("song_shots", ANY, "Shots in which is sung."),
            needed("song", AUDIO, "The song."),
            optional("cue_seconds", ANY, "Where the song begins.", 0),
            optional("dialogue_target_lufs", NUMBER, "Loudness of what is spoken."),
            optional("duck_delay_ms", FROM_ZERO, "When the song gets softer.", 0),
            optional("duck_db", FULL_SCALE, "By how much.", -12),
            optional("duck_ramp_ms", FROM_ZERO, "How soon.", 250),
            FRAMES_PER_SECOND,
        ),
        dialect="B",
    ),
    Command(
        "join_windows",
        "Blends overlapping windows of a video back together.",
        (
            _VIDEOS,
            needed("source", VIDEO, "The video of which they are windows."),
            _LENGTH,
            needed("overlap", COUNT_FROM_ZERO, "Frames that two windows share."),
            optional("curve", one_of("cosine", "smoothstep", "linear"), "How one gives way to the next.", "cosine"),
            FRAMES_PER_SECOND,
        ),
        "video",
        dialect="B",
    ),
    Command(
        "pair_audio",
        "Gives frames a sound track.",
        (
            _FRAMES,
            needed("audio", AUDIO, "The sound."),
            SAMPLE_RATE,
            optional("fps", ANY, "Frames per second.", dialect="B"),
            optional("fit", one_of("video"), "Cuts or lengthens the sound to the length of this.", dialect="B"),
        ),
        "video",
    ),
)

_CHANGING = (
    Command(
        "fit_to_model",
        "Brings a video to the size and length that a model takes.",
        (
            _FRAMES,
            *_SIZE,
            _LENGTH,
            optional(
                "mode", one_of("letterbox", "stretch", "crop"), "What is done when the shapes differ.", "letterbox"
            ),
            optional("downscale", ABOVE_ZERO, "How much smaller it is made first.", 1),
        ),
        dialect="B",
    ),
    Command(
        "interpolate_frames",
        "Draws frames between the frames.",
        (
            _FRAMES,
            optional("multiplier", NumberShape(whole=True, choices=(2, 4, 8)), "How many times as many: 2, 4 or 8.", 2),
            optional("model_name", TEXT, "Hub repository or folder of the model."),
            optional("filename", TEXT, "File within the repository."),
        ),
        "video",
        others="ignored",
        device=True,
    ),
    Command("loop_frames", "Repeats frames up to a length.", (_FRAMES, _LENGTH), "video", dialect="B"),
    Command(
        "restore_to_source",
        "Undoes fit_to_model.",
        (_FRAMES, needed("fit", ANY, "What fit_to_model told.")),
        "video",
        dialect="B",
    ),
    Command(
        "stabilize_video",
        "Removes the drift of the frame.",
        (_CLIP, optional("smooth", NUMBER, "Over how many frames.", 0)),
        "video",
        dialect="B",
    ),
    Command(
        "trim_video",
        "Keeps one stretch of a video.",
        (_FRAMES, needed("start_frame", COUNT_FROM_ZERO, "Its first frame."), _LENGTH, FRAMES_PER_SECOND),
        "video",
        dialect="B",
    ),
    Command("video_frames", "Gives all frames as one array.", (_FRAMES,), "video"),
    Command(
        "window_video",
        "Gives one of the overlapping windows of a video.",
        (
            _FRAMES,
            needed("index", COUNT_FROM_ZERO, "Which one."),
            _LENGTH,
            needed("overlap", COUNT_FROM_ZERO, "Frames that two windows share."),
            FRAMES_PER_SECOND,
        ),
        "video",
        dialect="B",
    ),
)

_FACES = (
    Command(
        "crop_face_track",
        "Cuts out a steady square around a face.",
        (
            _CLIP,
            optional("crop_size", COUNT, "Side of the square in pixels.", 512),
            optional("padding", FROM_ZERO, "Room around the face.", 0.6),
            optional("gate_full", ABOVE_ZERO, "Size of a face that is repaired wholly.", 0.06),
            optional("gate_zero", ABOVE_ZERO, "Size of a face that is left alone.", 0.12),
            optional("min_confidence", ABOVE_ZERO, "How certain the detector must be.", 0.6),
            optional("modulus", COUNT, "Frames are this times n, plus the remainder.", 8),
            optional("remainder", COUNT_FROM_ZERO, "See modulus.", 1),
            optional("multiple", COUNT, "The square's side becomes a multiple of this.", 32),
            optional("detector_repo", TEXT, "Hub repository of the detector.", "opencv/face_detection_yunet"),
            optional("detector_file", TEXT, "File in it.", "face_detection_yunet_2023mar.onnx"),
        ),
        dialect="B",
    ),
    Command(
        "paste_face_track",
        "Puts repaired faces back.",
        (
            _CLIP,
            needed("repaired", ANY, "The repaired squares."),
            needed("track", ANY, "What crop_face_track told."),
            optional("feather", FROM_ZERO, "Width of the soft edge.", 0.3),
            optional("color_match", FLAG, "Match the colours.", True),
        ),
        "video",
        dialect="B",
    ),
)

_LOOKING = (
    Command("analyze_seams", "Looks at sound and picture at each cut.", (_FRAMES, _SHOTS), "data", dialect="B"),
    Command("analyze_shots", "Compares level and tone of the shots.", (_FRAMES, _SHOTS), "data", dialect="B"),
    Command(
        "analyze_sync_drift", "Measures how far sound and picture drift apart.", (_FRAMES, _SHOTS), "data", dialect="B"
    ),
    Command(
        "frame_grid",
        "Lays frames of a video on one sheet.",
        (
            _FRAMES,
            optional("count", COUNT, "How many frames.", 12),
            optional("columns", COUNT, "How many beside each other."),
            optional("tile_width", COUNT, "Width of each in pixels.", 320),
            optional("label", FLAG, "Write the time under each.", True),
        ),
        "image",
        dialect="B",
    ),
)

_LATENT = (
    Command(
        "decode_h3_latents",
        "Decodes the latents of a MiniMax-H3 model to frames.",
        (_LATENTS, optional("model_name", TEXT, "Hub repository or folder of the model.")),
        "video",
        dialect="B",
        device=True,
    ),
    Command(
        "upscale_h3_latents",
        "Enlarges the latents of a MiniMax-H3 model.",
        (
            _LATENTS,
            *_SIZE,
            optional("model_name", TEXT, "Hub repository or folder of the model."),
            optional("weight_name", TEXT, "File in it."),
        ),
        dialect="B",
        device=True,
    ),
)

VIDEO_COMMANDS = (*_JOINING, *_CHANGING, *_FACES, *_LOOKING, *_LATENT)
