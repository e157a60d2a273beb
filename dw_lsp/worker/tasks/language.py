"""Tasks that ask a language model: about a text, about a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import torch
from PIL import Image

from dw_lsp.worker.tasks.constraints import Above, Between, NotEmpty
from dw_lsp.worker.tasks.models import Models

#: A text, or the messages of a conversation as `format_chat_message` gives them.
Prompt = str | list[dict[str, Any]]
Temperature = Annotated[float, Above(0)]


def text_generation(
    models: Models,
    prompt: Annotated[Prompt, NotEmpty()],
    image: Image.Image | None = None,
    model_name: str | None = None,
    system_prompt: str | None = None,
    max_new_tokens: Annotated[int, Above(0)] = 500,
    chat_template_kwargs: dict[str, Any] | None = None,
    revision: str | None = None,
    repetition_penalty: Annotated[float, Above(0)] | None = None,
    generate_kwargs: dict[str, Any] | None = None,
    do_sample: bool | None = None,
    temperature: Temperature | None = None,
    top_p: Annotated[float, Between(0, 1)] | None = None,
    device: str | None = None,
    torch_dtype: Any = None,
) -> str:
    """The answer of a language model, and of one that sees where there is an image.

    Args:
        prompt: the question, or the messages of a conversation.
        image: a picture that it is about.
        model_name: repository or folder of the model.
        system_prompt: instructions that go before the question.
        max_new_tokens: the longest answer, in tokens.
        chat_template_kwargs: keywords of the model's chat template.
        revision: branch, tag or commit of the model.
        repetition_penalty: above 1 makes repetitions less likely.
        generate_kwargs: further keywords of transformers' `generate`.
        do_sample: whether words are drawn; else the likeliest is taken. What is not given is as the model has it.
        temperature: above 1 draws more freely, below 1 less.
        top_p: draws among the likeliest words that together have this probability.
        device: where the model computes.
        torch_dtype: the precision of the model.
    Raises `ValueError` when the model writes no text, or takes no such keyword.
    """
    options = {
        "max_new_tokens": max_new_tokens,
        "repetition_penalty": repetition_penalty,
        "do_sample": do_sample,
        "temperature": temperature,
        "top_p": top_p,
    }
    given = {name: value for name, value in options.items() if value is not None} | (generate_kwargs or {})
    ask = _Question(models, prompt, system_prompt, image, chat_template_kwargs or {})
    return ask.answer(given)


def image_to_text(
    models: Models,
    image: Image.Image,
    prompt: str | None = None,
    model_name: str | None = None,
    system_prompt: str | None = None,
    max_new_tokens: Annotated[int, Above(0)] | None = None,
    generate_kwargs: dict[str, Any] | None = None,
    revision: str | None = None,
    device: str | None = None,
    torch_dtype: Any = None,
) -> str:
    """What a model says of a picture: its description, unless it is asked for something else.

    Args:
        image: the picture.
        prompt: the question.
        model_name: repository or folder of the model.
        system_prompt: instructions that go before the question.
        max_new_tokens: the longest answer, in tokens.
        generate_kwargs: further keywords of transformers' `generate`.
        revision: branch, tag or commit of the model.
        device: where the model computes.
        torch_dtype: the precision of the model.
    Raises `ValueError` when the model writes no text, or takes no such keyword.
    """
    given = {"max_new_tokens": max_new_tokens or 500} | (generate_kwargs or {})
    return _Question(models, prompt or "", system_prompt, image, {}).answer(given)


class _Question:
    """One question to a model.

    Arguments: the models; the question, a text or the messages of a conversation; instructions that go before it; the
    picture that it is about; keywords of the model's chat template.
    """

    def __init__(
        self,
        models: Models,
        prompt: Prompt,
        system_prompt: str | None,
        image: Image.Image | None,
        template: Mapping[str, Any],
    ):
        self._model, self._processor = models["language_model"], models["language_processor"]
        self._models, self._prompt, self._system, self._image = models, prompt, system_prompt, image
        self._template = template

    def answer(self, options: Mapping[str, Any]) -> str:
        """The text that the model writes. Arguments: `options` are keywords of `generate`."""
        if not hasattr(self._model, "generate"):
            raise ValueError(f"the model is a {type(self._model).__name__}, which writes no text")
        given = self._given().to(self._models.device)
        if self._model.dtype.is_floating_point:
            given = _as_floating(given, self._model.dtype)
        total = options.get("max_new_tokens")
        with torch.no_grad(), _drawn(self._models), _counted(self._model, self._models.unit_done, total):
            try:
                written = self._model.generate(**given, **options)
            except TypeError as error:
                raise ValueError(f"the model's `generate` does not take these keywords: {error}") from error
        begins = 0 if self._model.config.is_encoder_decoder else _length(given)
        # Models that see and then write give the answer alone, others with the question before it.
        new = written[:, begins:] if written.shape[1] > begins else written
        text: str = self._processor.batch_decode(new, skip_special_tokens=True)[0]
        return text.strip()

    def _given(self) -> Any:
        """What the model is given: the question in its own form."""
        if getattr(self._processor, "chat_template", None):
            return self._processor.apply_chat_template(
                self._messages(),
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
                **self._template,
            )
        if self._template:
            raise ValueError("`chat_template_kwargs` are given, but the model has no chat template")
        text = "\n\n".join(part for part in (self._system, self._plain()) if part)
        if self._image is None:
            return self._processor(text, return_tensors="pt")
        # A model without conversations describes; a text is how its description begins.
        return self._processor(images=self._image, return_tensors="pt", **({"text": text} if text else {}))

    def _plain(self) -> str:
        if isinstance(self._prompt, str):
            return self._prompt
        return "\n\n".join(str(message.get("content", "")) for message in self._prompt)

    def _messages(self) -> list[dict[str, Any]]:
        if not isinstance(self._prompt, str):
            if self._system or self._image is not None:
                raise ValueError("a `prompt` of several messages says all by itself: no `system_prompt`, no `image`")
            return self._prompt
        if self._image is None:
            system = [{"role": "system", "content": self._system}] if self._system else []
            return [*system, {"role": "user", "content": self._prompt}]
        asked = self._prompt or "Describe this image."
        content = [{"type": "image", "image": self._image}, {"type": "text", "text": asked}]
        told = [{"role": "system", "content": [{"type": "text", "text": self._system}]}] if self._system else []
        return [*told, {"role": "user", "content": content}]


def _length(given: Mapping[str, Any]) -> int:
    tokens = given.get("input_ids")
    return 0 if tokens is None else int(tokens.shape[1])


def _as_floating(given: Any, dtype: torch.dtype) -> Any:
    """Pictures in the precision of the model; numbers of tokens as they are."""
    for name, value in given.items():
        if torch.is_tensor(value) and value.is_floating_point():
            given[name] = value.to(dtype)
    return given


@contextmanager
def _drawn(models: Models) -> Iterator[None]:
    """Random numbers by the call's seed: `generate` has no generator of its own. Afterwards all is as it was."""
    devices = [models.device] if models.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        if models.seed is not None:
            torch.manual_seed(models.seed)
        yield


@contextmanager
def _counted(model: Any, unit_done: Callable[[int, int | None, str], None], total: int | None) -> Iterator[None]:
    """Counts the tokens: the model is asked once for each."""
    done = 0

    def hook(module: Any, given: Any, output: Any) -> None:
        nonlocal done
        done += 1
        unit_done(done, total, "token")

    handle = model.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
