"""The whole document."""

from __future__ import annotations

from dw_lsp.workflow.format.shapes import (
    ANY,
    NUMBER,
    TEXT,
    AnyOf,
    ListShape,
    MapShape,
    NumberShape,
    ObjectShape,
    TextShape,
    key,
)
from dw_lsp.workflow.format.step import STEP

_COST = ObjectShape(
    "cost",
    "Time and memory that a run with the default variables takes on one device.",
    (
        key("device", TextShape(("cuda", "mps", "cpu")), "Kind of device.", required=True),
        key("vram_gb", NUMBER, "Memory of the device in GB.", required=True),
        key("minutes", NUMBER, "Minutes of a run.", required=True),
        key("name", TEXT, "Name of the device."),
        key(
            "per_entry",
            ObjectShape(
                "cost per entry",
                "What each entry of a variable adds.",
                (
                    key("variable", TEXT, "The variable.", required=True),
                    key("minutes", NUMBER, "Minutes for each entry.", required=True),
                    key("entries", NumberShape(whole=True, least=1), "Entries that were measured.", required=True),
                ),
            ),
            "What each entry of a variable adds.",
        ),
    ),
)
_VRAM_ESTIMATE = ObjectShape(
    "vram_estimate",
    "Projected memory: a base, and bytes for each voxel.",
    (
        key("base_gb", NUMBER, "Memory without any voxels, in GB.", required=True),
        key("bytes_per_voxel", NUMBER, "Bytes for each voxel.", required=True),
        key("voxel_variables", ListShape(TEXT, at_least=1), "Variables whose product is the voxels.", required=True),
        key("gb_per_reference", NUMBER, "GB for each reference."),
        key("bytes_per_guide_voxel", NUMBER, "Bytes for each voxel of a guide."),
        key("reason", TEXT, "Why it is so."),
    ),
)
_CONSTRAINT = ObjectShape(
    "variable constraint",
    "Which numbers a variable may have.",
    (
        key("modulus", NumberShape(whole=True, least=1), "The number is this times n, plus the remainder."),
        key("remainder", NumberShape(whole=True, least=0), "See modulus."),
        key("min_frames", NumberShape(whole=True, least=0), "The smallest number."),
        key("max_frames", NumberShape(whole=True, least=0), "The largest number."),
        key("snap", TextShape(("up",)), "Round up to the next allowed number instead of refusing."),
        key("reason", TEXT, "Why it is so."),
    ),
)

WORKFLOW = ObjectShape(
    "workflow file",
    "Steps that run in order, and the variables that they use.",
    (
        key("id", TEXT, "The workflow's name; every output file's name begins with it.", required=True),
        key("description", TEXT, "What it is for."),
        key("variables", MapShape(ANY), "Names and default values; `variable:NAME` stands for the value anywhere."),
        key("seed", NumberShape(whole=True, least=0), "Default seed of all steps; drawn at random if not given."),
        key("steps", ListShape(STEP, at_least=1), "What is done, strictly in this order.", required=True),
        key("argument_template", MapShape(ANY), "Put in by an engine that calls this file; not meant to be written."),
        key("configures", TEXT, "Template that this file presets.", dialect="B"),
        key(
            "shape",
            TextShape(("image", "image-set", "image-edit", "shot", "sequence", "audio", "text", "utility")),
            "What kind of thing it makes.",
            dialect="B",
        ),
        key(
            "traits",
            ListShape(
                TextShape(
                    (
                        "has-audio",
                        "chained",
                        "image-conditioned",
                        "identity-referenced",
                        "needs-input-media",
                        "composes-workflows",
                    )
                ),
                unique=True,
            ),
            "What else is true of it.",
            dialect="B",
        ),
        key("summary", TextShape(longest=120), "One line for a catalogue.", dialect="B"),
        key("cost", ListShape(_COST), "Time and memory of a run.", dialect="B"),
        key("cost_drivers", ListShape(TEXT, unique=True), "Variables by which costs are grouped.", dialect="B"),
        key("vram_estimate", _VRAM_ESTIMATE, "Projected memory of a run.", dialect="B"),
        key("variable_constraints", MapShape(AnyOf((_CONSTRAINT,))), "Which numbers variables may have.", dialect="B"),
    ),
)
