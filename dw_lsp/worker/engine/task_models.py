"""Checking the models that a task would compute with, before anything is loaded."""

from __future__ import annotations

from pathlib import Path

from dw_lsp.planning.requirements import RequiredPipeline
from dw_lsp.planning.task_models import required_task
from dw_lsp.worker.engine.devices import named_device
from dw_lsp.worker.engine.references import is_result
from dw_lsp.worker.engine.refusals import refuse
from dw_lsp.worker.engine.run_context import RunContext
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep


def checked_models(step: ResolvedStep, folder: Path | None, context: RunContext) -> RequiredPipeline:
    """The models of a task that has some.

    Arguments: `folder` is that of the workflow file.
    Raises `InvalidInput` where they lie where nothing may be read, or the step says of them what cannot be.
    """
    if step.body.get("inputs") is not None:
        message = f"{step.body.get('command')} computes with a model and takes `arguments`, not a list of `inputs`"
        raise refuse(step, ("task", "inputs"), message, "Refer to results in its arguments: it runs once for each.")
    required = required_task(step, folder, context.resources.device.type)
    if required is None:
        raise refuse(step, ("task", "command"), f"{step.body.get('command')} computes with no model")
    for part in required.parts:
        try:
            if part.folder is not None:
                context.allowed.resolve(str(part.folder), None, "the model")
        except InvalidInput as error:
            raise refuse(step, ("task", "arguments", "model_name"), error.message, error.hint) from error
    arguments = step.body.get("arguments")
    values = arguments if isinstance(arguments, dict) else {}
    device = values.get("device")
    if isinstance(device, str) and not is_result(device):
        try:
            named_device(device, context.resources.device)
        except ValueError as error:
            raise refuse(step, ("task", "arguments", "device"), str(error)) from error
    dtype = values.get("torch_dtype", values.get("dtype"))
    if isinstance(dtype, str):
        context.types.dtype(dtype)
    return required
