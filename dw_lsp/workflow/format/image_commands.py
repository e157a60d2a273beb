"""Task commands on images, besides the processors."""

from __future__ import annotations

from dw_lsp.workflow.format.command import (
    ABOVE_ZERO,
    COUNT,
    COUNT_FROM_ZERO,
    FROM_ZERO,
    IMAGE,
    MEDIUM,
    SHARE,
    SHIFT,
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

_PICTURE = needed("image", IMAGE, "The image.")
_EDITED = needed("media", MEDIUM, "The image or video.")
_WEIGHTS = needed("model_name", TEXT, "Hub repository, folder or file of the model.")
_FILENAME = optional("filename", TEXT, "File within the repository.")
_MAX_NEW_TOKENS = optional("max_new_tokens", COUNT, "Most tokens of the answer.")


_COLOUR_SHIFTS = {
    "temperature": "From blue (-1) to yellow (1).",
    "tint": "From green (-1) to magenta (1).",
    "highlights": "Bright parts darker (-1) or brighter (1).",
    "shadows": "Dark parts darker (-1) or brighter (1).",
    "whites": "White point lower (-1) or higher (1).",
    "blacks": "Black point lower (-1) or higher (1).",
    "clarity": "Contrast of fine structures.",
    "vignette": "Corners darker (-1) or brighter (1).",
}

_EDITING = (
    Command(
        "apply_lut",
        "Changes colours by a table or a palette.",
        (
            _EDITED,
            optional("lut", TEXT, "File with a colour table (.cube)."),
            optional("palette", ANY, "Colours to which it is drawn."),
            optional("strength", SHARE, "How much of the change.", 1.0),
        ),
        dialect="B",
    ),
    Command(
        "film_grain",
        "Adds grain.",
        (
            _EDITED,
            optional("amount", SHARE, "How much.", 0.1),
            optional("size", NumberShape(least=1), "Size of the grains in pixels.", 1.0),
            optional("chroma", SHARE, "How coloured it is.", 0.0),
            optional("seed", COUNT_FROM_ZERO, "Seed of the grain."),
        ),
        dialect="B",
        seed=True,
    ),
    Command(
        "grade",
        "Adjusts exposure, contrast and colours.",
        (
            _EDITED,
            optional("exposure", NUMBER, "Stops brighter or darker.", 0.0),
            optional("contrast", FROM_ZERO, "1 leaves it as it is.", 1.0),
            optional("saturation", FROM_ZERO, "1 leaves it as it is.", 1.0),
            *(optional(name, SHIFT, meaning, 0.0) for name, meaning in _COLOUR_SHIFTS.items()),
            optional("fade", SHARE, "How far black is lifted.", 0.0),
        ),
        dialect="B",
    ),
    Command(
        "sharpen",
        "Sharpens by an unsharp mask.",
        (
            _EDITED,
            optional("amount", FROM_ZERO, "How much.", 1.0),
            optional("radius", ABOVE_ZERO, "Width of the blur in pixels.", 2.0),
            optional("threshold", NumberShape(least=0, most=255), "Difference that is left alone.", 0),
        ),
        dialect="B",
    ),
)

_MODELS = (
    Command(
        "diffusion_upscale",
        "Enlarges an image with a diffusion model.",
        (
            _PICTURE,
            optional("prompt", TEXT, "What the image shows.", ""),
            optional("negative_prompt", TEXT, "What it does not show."),
            optional("mode", one_of("x4", "x2"), "How much larger.", "x4"),
            optional("model_name", TEXT, "Hub repository or folder of the model."),
            optional("num_inference_steps", COUNT, "Denoising steps.", 25),
            optional("guidance_scale", NUMBER, "How closely the prompt is followed.", 9.0),
            optional("noise_level", NUMBER, "Noise that is added first.", 20),
        ),
        "image",
        others="ignored",
        device=True,
        seed=True,
    ),
    Command(
        "image_to_text",
        "Describes an image, or answers a question about it.",
        (
            _PICTURE,
            optional("model_name", TEXT, "Hub repository or folder.", "HuggingFaceTB/SmolVLM-256M-Instruct"),
            optional("prompt", TEXT, "The question.", "Describe this image."),
            optional("system_prompt", TEXT, "Instructions for the model."),
            _MAX_NEW_TOKENS,
            optional("generate_kwargs", ARGUMENTS, "Keywords of the generation."),
            optional("revision", TEXT, "Branch, tag or commit of the model.", dialect="B"),
            optional("torch_dtype", TEXT, "Precision of the model."),
        ),
        "text",
        others="ignored",
        device=True,
    ),
    Command(
        "judge",
        "Scores an image by a rubric.",
        (
            _PICTURE,
            needed("rubric", ANY, "What is judged."),
            needed("scale", ANY, "Which scores there are."),
            optional("model_name", TEXT, "Hub repository or folder of the model."),
            _MAX_NEW_TOKENS,
        ),
        "data",
        dialect="B",
        others="ignored",
        device=True,
    ),
    Command(
        "restore_faces",
        "Restores faces with a model.",
        (
            _PICTURE,
            _WEIGHTS,
            _FILENAME,
            optional("upscale_factor", NUMBER, "How much larger the image becomes.", 1),
            optional("face_size", COUNT, "Side in pixels of a face in the model.", 512),
            optional("use_parse", FLAG, "Blend along the parts of the face.", True),
            optional("only_center_face", FLAG, "Only the face nearest to the middle.", False),
            optional("detection_resize", COUNT, "Side in pixels at which faces are looked for.", 640),
            optional("eye_dist_threshold", NUMBER, "Distance of the eyes below which a face is left alone.", 5),
            optional("upsample_img", ANY, "The enlarged image into which the faces are put."),
        ),
        "image",
        others="ignored",
        device=True,
    ),
    Command(
        "segment",
        "Draws the mask of what a text names.",
        (
            _PICTURE,
            needed("prompt", TEXT, "What is looked for."),
            optional("model_name", TEXT, "Model that finds it.", "IDEA-Research/grounding-dino-base"),
            optional("sam_model_name", TEXT, "Model that outlines it.", "facebook/sam2-hiera-large"),
            optional("threshold", NUMBER, "How certain the model must be.", 0.3),
            optional("invert", FLAG, "White where it is not.", False),
            optional("torch_dtype", TEXT, "Precision of the models."),
        ),
        "image",
        others="ignored",
        device=True,
    ),
    Command(
        "upscale",
        "Enlarges an image with a super-resolution model.",
        (
            _PICTURE,
            _WEIGHTS,
            _FILENAME,
            optional("tile_size", COUNT_FROM_ZERO, "Side in pixels of what is enlarged at once.", 512),
            optional("tile_overlap", COUNT_FROM_ZERO, "Pixels that neighbouring tiles share.", 32),
        ),
        "image",
        others="ignored",
        device=True,
    ),
)

_SHEETS = (
    Command(
        "gather_images",
        "Gives images from a pattern and from addresses, each a result of its own.",
        (
            optional("glob", TEXT, "Pattern such as photos/*.png."),
            optional("urls", AnyOf((TEXTS, ListShape(ARGUMENTS))), "Addresses or paths."),
        ),
        "image",
    ),
    Command(
        "ingredients_grid",
        "Lays several images on one sheet.",
        (
            needed("images", ListShape(ANY, at_least=1), "The images."),
            optional("width", COUNT, "Width of the sheet in pixels.", 768),
            optional("height", COUNT, "Height of the sheet in pixels.", 448),
            optional("layout", one_of("auto", "rows", "panels"), "One below the other, side by side, or a grid.",
                "auto"),
            optional("fit", one_of("contain", "cover"), "Whole, or filling the cell.", "contain"),
            optional("gap", COUNT_FROM_ZERO, "Pixels between the images.", 8),
            optional("background", TEXT, "Colour of the sheet.", "white"),
            optional("max_images", COUNT, "More images are an error.", 12),
        ),
        "image",
        dialect="B",
    ),
    Command(
        "qr_code",
        "Draws a QR code.",
        (
            needed("qr_code_contents", TEXT, "What it holds."),
            optional("height", NUMBER, "Height in pixels.", 768),
            optional("width", NUMBER, "Width in pixels.", 768),
        ),
        "image",
    ),
)  # fmt: skip

IMAGE_COMMANDS = (*_MODELS, *_EDITING, *_SHEETS)
