"""Classes and number types that fit a place, the likeliest first."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from dw_lsp.analysis.completion.expected import Expected
from dw_lsp.analysis.completion.items import Candidate
from dw_lsp.analysis.completion.scene import Scene
from dw_lsp.analysis.completion.trees import PLAIN_TEXTS
from dw_lsp.catalog.classes import ClassEntry, Kind
from dw_lsp.catalog.models import MODEL_INDEX
from dw_lsp.text.syntax_tree import Object
from dw_lsp.workflow.type_uses import names_type

#: Classes that choose what a model says it is.
_CHOOSERS = ("DiffusionPipeline", "AutoModel", "AutoTokenizer", "AutoProcessor")
#: Kinds of components by what their name says, where the pipeline's class says nothing.
_BY_NAME: tuple[tuple[re.Pattern[str], tuple[tuple[Kind, str], ...]], ...] = (
    (re.compile(r"tokenizer"), (("tokenizer", "transformers"),)),
    (re.compile(r"feature_extractor|processor"), (("processor", "transformers"),)),
    (re.compile(r"text_encoder|image_encoder|language|llm"), (("model", "transformers"),)),
    (re.compile(r"scheduler"), (("scheduler", "diffusers"),)),
    (re.compile(r"vae|unet|transformer|controlnet|adapter|vocoder|upsampler"), (("model", "diffusers"),)),
)
_EVERY: tuple[tuple[Kind, str], ...] = (
    ("model", "diffusers"),
    ("model", "transformers"),
    ("tokenizer", "transformers"),
)
#: Quantization configs of packages of their own.
_CONFIGS = ("sdnq.SDNQConfig",)
_FIRST_NUMBERS = ("bfloat16", "float16", "float32", "float8_e4m3fn")
_NAME = re.compile(r"[A-Za-z_]\w*")


def class_candidates(scene: Scene, wanted: Expected) -> list[Candidate] | None:
    """The types that may be named under a key; `None` if the key names none."""
    key = wanted.key
    if wanted.outer in ("torch_dtype", "dtype"):
        return list(_numbers(scene))
    if not names_type(key) or scene.path[:1] != ("steps",):
        return None
    if key in PLAIN_TEXTS:
        return [Candidate(text, "choice", text, rank=0) for text in PLAIN_TEXTS[key]]
    if key.endswith("dtype"):
        return list(_numbers(scene))
    return list(_unique(_of_key(scene, wanted)))


def _numbers(scene: Scene) -> Iterator[Candidate]:
    for name in scene.workspace.catalog.dtypes():
        rank = _FIRST_NUMBERS.index(name) if name in _FIRST_NUMBERS else len(_FIRST_NUMBERS)
        yield Candidate(f"torch.{name}", "value", f"torch.{name}", "number type", rank=min(rank, 4), short=name)


def _of_key(scene: Scene, wanted: Expected) -> Iterator[Candidate]:
    catalog, key = scene.workspace.catalog, wanted.key
    if key == "component_type":
        owner_path = scene.path[:-1]
        if owner_path[2:] == ("pipeline", "configuration"):
            yield from _pipelines(scene)
        else:
            yield from _components(scene, str(owner_path[-2]) if len(owner_path) > 1 else "")
    elif key == "scheduler_type":
        own = str(scene.path[3]) if len(scene.path) > 3 else "scheduler"
        fitting = {*_said_by_model(scene, own), *(entry.name for entry in _annotated(scene, own))}
        for entry in catalog.of_kind("scheduler"):
            yield _candidate(scene, entry, 0 if entry.name in fitting else 2)
    elif key == "config_type":
        elsewhere = [found for name in _CONFIGS if (found := catalog.resolve(name).entry) is not None]
        yield from (_candidate(scene, entry, 1) for entry in (*catalog.of_kind("quantization"), *elsewhere))
        yield from (_candidate(scene, entry, 4) for entry in catalog.of_kind("quantization", "transformers"))
    elif key == "attn_processor_type":
        yield from (_candidate(scene, entry, 2) for entry in catalog.defined("AttnProcessor"))
    else:
        yield from _objects(scene, wanted)


def _pipelines(scene: Scene) -> Iterator[Candidate]:
    said = _said_by_model(scene, None)
    for entry in scene.workspace.catalog.of_kind("pipeline"):
        rank = 0 if entry.name in said else 2 if entry.name in _CHOOSERS else 3
        yield _candidate(scene, entry, rank)


def _components(scene: Scene, name: str) -> Iterator[Candidate]:
    """Classes for a component: what the model says, what the pipeline's class is written for, then all of the kind."""
    catalog = scene.workspace.catalog
    for said in _said_by_model(scene, name):
        resolved = catalog.resolve(said)
        if resolved.entry is not None:
            yield _candidate(scene, resolved.entry, 0)
    annotated = list(_annotated(scene, name))
    yield from (_candidate(scene, entry, 1) for entry in annotated)
    kinds = {(entry.kind, entry.package) for entry in annotated if entry.kind != "other"}
    by_name = next((kinds for pattern, kinds in _BY_NAME if pattern.search(name)), _EVERY)
    for kind, package in dict.fromkeys((*kinds, *by_name)):
        for entry in catalog.of_kind(kind, package):
            yield _candidate(scene, entry, 3 if entry.name in _CHOOSERS else 4)


def _annotated(scene: Scene, name: str) -> Iterator[ClassEntry]:
    """The classes that the pipeline's constructor wants for a component."""
    parameter = None if scene.constructor is None else scene.constructor.parameter(name)
    yield from _named_in(scene, "" if parameter is None else parameter.annotation or "")


def _named_in(scene: Scene, annotation: str) -> Iterator[ClassEntry]:
    """The classes that an annotation names."""
    for word in _NAME.findall(annotation):
        if len(word) > 5 and word[:1].isupper():  # Shorter ones are those of `typing`.
            for package in ("diffusers", "transformers"):
                found = [entry for entry in scene.workspace.catalog.defined(word, package) if entry.name == word]
                if found:
                    yield found[0]
                    break


def _said_by_model(scene: Scene, part: str | None) -> tuple[str, ...]:
    """The class that the model's own description names. Arguments: the component (`None`: the pipeline)."""
    pipeline = scene.pipeline
    loading = None if pipeline is None else pipeline.get("from_pretrained_arguments")
    folder = scene.model_folder(loading) if isinstance(loading, Object) else None
    text = None if folder is None else scene.workspace.read(folder / MODEL_INDEX)
    try:
        index = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return ()
    said = index.get("_class_name" if part is None else part) if isinstance(index, dict) else None
    if isinstance(said, str):
        return (said,)
    if isinstance(said, list) and len(said) == 2 and all(isinstance(each, str) for each in said):
        return (said[1] if said[0] == "diffusers" else f"{said[0]}.{said[1]}",)
    return ()


def _objects(scene: Scene, wanted: Expected) -> Iterator[Candidate]:
    """Classes of objects that become arguments: those that the call's annotation names, then the library's others."""
    argument = next((part for part in reversed(scene.path[:-1]) if isinstance(part, str)), "")
    parameter = None if scene.call is None else scene.call.parameter(argument)
    for entry in _named_in(scene, "" if parameter is None else parameter.annotation or ""):
        yield _candidate(scene, entry, 0)
    for entry in scene.workspace.catalog.of_kind("other"):
        yield _candidate(scene, entry, 6)


def _candidate(scene: Scene, entry: ClassEntry, rank: int) -> Candidate:
    written = entry.written
    if entry.kind == "other" and scene.workspace.catalog.resolve(written).entry is None:
        written = f"{entry.module}.{entry.name}"  # The package does not offer it under its own name.
    kind = "class" if entry.kind == "other" else entry.kind
    return Candidate(written, "class", written, f"{kind} · {entry.package}", rank=rank, short=entry.name, entry=entry)


def _unique(candidates: Iterable[Candidate]) -> Iterator[Candidate]:
    seen: set[str] = set()
    for candidate in candidates:
        if candidate.label not in seen:
            seen.add(candidate.label)
            yield candidate
