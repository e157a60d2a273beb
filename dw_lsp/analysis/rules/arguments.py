"""What is told of the arguments of calls: of pipelines, schedulers, quantization configs, tasks, other workflows."""

from __future__ import annotations

from dw_lsp.analysis.findings import Rule

UNKNOWN_ARGUMENT = Rule(
    "unknown-argument",
    "error",
    "An argument that the pipeline, class, task or workflow does not have.",
    "The call would fail after the models are loaded. Where further keywords are accepted and ignored, the argument "
    "would have no effect: that is a warning.",
    '"task": { "command": "canny_cv", "arguments": { "image": "variable:photo", "low_treshold": 80 } }',
    "Correct it to the name in the message, or remove it.",
)
MISSING_ARGUMENT = Rule(
    "missing-argument",
    "error",
    "A required argument of a call is absent.",
    "The call would fail.",
    '"task": { "command": "qr_code", "arguments": { "width": 512 } }',
    "Add the argument that the message names.",
)
ARGUMENT_TYPE = Rule(
    "argument-type",
    "warning",
    "A value that cannot be what the argument takes.",
    "The call would fail, or read the value as something else.",
    '"arguments": { "num_inference_steps": "many" }',
    "Write a value of the type in the message; a reference fits anywhere.",
)
