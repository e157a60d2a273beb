"""Image and video processors: task commands that make one image of another, or of a video's frames."""

from __future__ import annotations

from dw_lsp.workflow.format.command import COUNT, IMAGE, VIDEO, Command, Others, Output, needed, optional
from dw_lsp.workflow.format.shapes import (
    NUMBER,
    TEXT,
    WHOLE,
    AnyOf,
    Dialect,
    ListShape,
    NumberShape,
    Property,
    TextShape,
)

_PICTURE = needed("image", IMAGE, "The image.")
_SIZE = (optional("height", COUNT, "New height in pixels.", 768), optional("width", COUNT, "New width in pixels.", 768))
_OVERLAP = optional("overlap", NumberShape(least=0), "How far the mask reaches into the image.", 0)


def _processor(
    name: str,
    meaning: str,
    *arguments: Property,
    gives: Output = "image",
    properties: tuple[str, ...] = (),
    dialect: Dialect = "AB",
    others: Others = "refused",
) -> Command:
    return Command(
        name,
        meaning,
        (_PICTURE, *arguments),
        gives,
        properties,
        dialect,
        kind="image processor",
        others=others,
        device=True,
    )


_DETECTORS = {
    "anyline": "anime and general line art",
    "canny": "edges, in an image shrunk to 512 pixels first",
    "dw_pose": "the pose of people, with hands and faces",
    "hed": "soft edges",
    "leres": "depth",
    "lineart": "line art",
    "lineart_standard": "line art, without a model",
    "midas": "depth",
    "mlsd": "straight lines",
    "normal_bae": "the direction of surfaces",
    "openpose": "the pose of people",
    "pidi": "soft edges",
    "sam": "segments",
    "scribble": "scribbled outlines",
    "shuffle": "the image's colours, shuffled",
    "teed": "fine edges",
    "zoe": "depth",
}
_DETECTOR_ARGUMENTS = (
    optional("detect_resolution", COUNT, "Side in pixels at which is looked."),
    optional("image_resolution", COUNT, "Side in pixels of the result."),
)
_THRESHOLDS = (
    optional("low_threshold", NUMBER, "Weakest edge that is kept beside a strong one."),
    optional("high_threshold", NUMBER, "Weakest edge that counts as strong."),
)

#: Detectors hand every further keyword on to the control-image library, so none of them can be called unknown.
_CONTROL_IMAGES = tuple(
    _processor(
        name,
        f"Draws a control image: {what}.",
        *_DETECTOR_ARGUMENTS,
        *(_THRESHOLDS if name == "canny" else ()),
        others="passed on",
    )
    for name, what in _DETECTORS.items()
)

_CHANGES = (
    _processor(
        "add_border_and_mask",
        "Puts a black border around an image, and draws the mask for painting it.",
        optional("zoom_all", NUMBER, "New size as a multiple of the old one.", 1.0),
        optional("zoom_left", NUMBER, "Border on the left, as a part of the width.", 0),
        optional("zoom_right", NUMBER, "Border on the right, as a part of the width.", 0),
        optional("zoom_up", NUMBER, "Border above, as a part of the height.", 0),
        optional("zoom_down", NUMBER, "Border below, as a part of the height.", 0),
        _OVERLAP,
        properties=("bordered_image", "mask"),
    ),
    _processor(
        "add_border_and_mask_with_size",
        "The same as add_border_and_mask, to an exact size.",
        needed("width", COUNT, "Width of the result in pixels."),
        needed("height", COUNT, "Height of the result in pixels."),
        _OVERLAP,
        properties=("bordered_image", "mask"),
    ),
    _processor(
        "add_watermark",
        "Writes a text into a corner of an image.",
        optional("text", TEXT, "What is written.", "AI Generated"),
        optional(
            "position",
            TextShape(suggestions=("top-left", "top-right", "bottom-left", "bottom-right", "center")),
            "Where.",
            "bottom-right",
        ),
        optional("opacity", NUMBER, "From 0 (invisible) to 255.", 128),
        optional("font_size", NUMBER, "Height of the letters in pixels; 0 lets it follow the image.", 0),
        optional("margin", NUMBER, "Distance from the edges in pixels.", 10),
        optional("color", AnyOf((TEXT, ListShape(NUMBER))), "A colour name, #rrggbb, or red, green and blue."),
    ),
    _processor(
        "canny_cv",
        "Draws the edges of an image at its full size.",
        optional("low_threshold", NUMBER, "Weakest edge that is kept beside a strong one.", 100),
        optional("high_threshold", NUMBER, "Weakest edge that counts as strong.", 200),
    ),
    _processor("crop_square", "Cuts out the largest centred square."),
    _processor(
        "depth",
        "Draws the depth of an image.",
        optional("height", COUNT, "Height of the result in pixels.", 1024),
        optional("width", COUNT, "Width of the result in pixels.", 1024),
    ),
    _processor("depth_estimator", "Draws the depth of an image.", optional("dtype", TEXT, "Type of the model.")),
    _processor(
        "depth_estimator_tensor",
        "Gives the depth of an image as a tensor.",
        optional("dtype", TEXT, "Type of the model."),
        gives="any",
    ),
    _processor("get_image_size", "Gives width and height.", gives="data", properties=("width", "height")),
    _processor(
        "recenter_crop",
        "Frames an image anew around one of its points.",
        optional("center_x", NUMBER, "New centre, from 0 (left) to 1 (right).", 0.5),
        optional("center_y", NUMBER, "New centre, from 0 (top) to 1 (bottom).", 0.5),
        optional("crop", NUMBER, "Size of the frame as a part of the image's.", 1.0),
        optional("width", COUNT, "Width of the result in pixels."),
        optional("height", COUNT, "Height of the result in pixels."),
        optional("fill", TEXT, "What stands outside of the image: edge, or a colour.", "edge"),
        dialect="B",
    ),
    _processor("remove_background", "Cuts out the subject."),
    _processor(
        "resize_bucket",
        "Brings an image to the nearest of a model's shapes.",
        optional("resolution", COUNT, "Side in pixels of the square that has the wanted area.", 1024),
        optional("ratios", ListShape(AnyOf((NUMBER, TEXT))), "Width to height of each shape that is allowed."),
        optional("alignment", COUNT, "Both sides become multiples of this.", 64),
    ),
    _processor("resize_center_crop", "Cuts out the centred square and brings it to a size.", *_SIZE),
    _processor("resize_rescale", "Stretches an image to a size.", *_SIZE),
    _processor(
        "resize_resample",
        "Brings the shorter side to a length and rounds both to multiples of 64.",
        optional("resolution", COUNT, "New length of the shorter side in pixels.", 1024),
    ),
    _processor("segmentation", "Colours each pixel by the class of what it shows."),
    _processor("strip_exif", "Drops the metadata."),
    _processor("zoe_depth", "Draws the depth of an image."),
)

_FRAMES = tuple(
    Command(name, meaning, (needed("video", VIDEO, "The video."), *more), "image", kind="video processor", device=True)
    for name, meaning, more in (
        ("get_first_frame", "Gives the first frame of a video.", ()),
        (
            "get_frame",
            "Gives one frame of a video.",
            (optional("frame_index", WHOLE, "Which one; negative numbers count from the end.", 0),),
        ),
        ("get_last_frame", "Gives the last frame of a video.", ()),
    )
)

PROCESSORS = (*_CHANGES, *_CONTROL_IMAGES, *_FRAMES)
