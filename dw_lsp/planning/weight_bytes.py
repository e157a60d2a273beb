"""How many bytes a component fills once it is loaded: from the headers of its files, and what its loading changes."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from dw_lsp.catalog.kept_precision import KEPT_BY_DIFFUSERS, KEPT_BY_TRANSFORMERS
from dw_lsp.catalog.models import ELEMENT_BYTES, ModelPart, Tensor, is_floating, read_json, tensors_of
from dw_lsp.text.syntax_tree import Value
from dw_lsp.workflow.identity import canonical, short_dtype

#: Bytes of a floating-point element for the dtype names that a workflow may use.
DTYPE_BYTES = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1,
}  # fmt: skip
_BITS = re.compile(r"(?:int|float|fp|nf)(\d+)", re.IGNORECASE)
#: Words in the path of a matrix that is no linear layer, or lies at an end of the model, where none is quantized.
_NOT_QUANTIZED = re.compile(
    r"(^|\.)(shared|wte|lm_head|embed_tokens|\w*embeddings?|\w*embed|\w*embedder|relative_attention_bias"
    r"|\w+_in|\w+_out|norm_out|final_layer|multi_modal_projector)(\.\d+)?\.weight$"
)
_AT_THE_ENDS = ("time_embed", "time_text_embed", "condition_embedder", "proj_in", "proj_out", "norm_out", "patch_embed")
#: The least that SDNQ takes to be worth it: elements of a matrix, and its inputs.
_SDNQ_LEAST, _SDNQ_INPUTS = 16384, 32
#: Below 8 bits, so many elements share a scale.
_GROUP = 64


def dtype_bytes(dtype: Value) -> int | None:
    """Bytes an element of a dtype named as in a workflow ("torch.float16"); `None` when it is absent or unknown."""
    return DTYPE_BYTES.get(short_dtype(dtype)) if isinstance(dtype, str) else None


def bytes_in_memory(part: ModelPart, dtype: str | None, quantization: Value = None) -> int:
    """Bytes of a part's parameters and buffers.

    Arguments: its precision, `None` for that of its files; the definition by which it is quantized as it is loaded, for
    which this is an estimate: what else a method leaves as it is, or adds, it decides itself.
    """
    if not part.weights.elements:
        return part.weights.bytes
    spelled = canonical(quantization) if isinstance(quantization, dict) else ""
    # Its files decide the rest; every run asks.
    return _bytes(part.class_name, part.identity, part.folder, part.files, dtype, _bits(spelled), "sdnq" in spelled)


@functools.lru_cache(maxsize=512)
def _bytes(
    class_name: str,
    identity: str,
    folder: Path,
    files: tuple[Path, ...],
    dtype: str | None,
    bits: int | None,
    sdnq: bool,
) -> int:
    config = read_json(folder / "config.json") or {}
    if config.get("quantization_config"):
        dtype, bits = None, None  # Quantized in its files, which are loaded as they are.
    kept = KEPT_BY_DIFFUSERS.get(class_name, ()) if bits is None and dtype is not None else ()
    kept = KEPT_BY_TRANSFORMERS.get(class_name, kept) if dtype == "float16" else kept
    total = _BUFFERS[class_name](config) if class_name in _BUFFERS else 0
    for name, tensor in (pair for file in files for pair in tensors_of(file).items()):
        count = math.prod(tensor.shape)
        if bits is not None and _is_quantized(name, tensor, sdnq):
            groups = tensor.shape[0] if bits >= 8 else math.ceil(count / _GROUP)
            total += count * bits // 8 + 4 * groups
        elif not is_floating(tensor.kind):
            total += count * ELEMENT_BYTES.get(tensor.kind, 1)
        else:
            wide = 4 if not set(kept).isdisjoint(name.split(".")) else dtype_bytes(dtype)
            total += count * (wide or ELEMENT_BYTES.get(tensor.kind, 4))
    return total


def _bits(definition: str) -> int | None:
    """The bits of a weight that a quantization speaks of; `None` where it speaks of none."""
    for key, bits in (("load_in_4bit", 4), ("load_in_8bit", 8)):
        if f'"{key}":true' in definition:
            return bits
    _, _, arguments = definition.partition('"arguments":')
    found = _BITS.search(re.sub(r'"[^"]*(compute|scale|storage)[^"]*":"[^"]*"', "", arguments))
    return min(int(found[1]), 16) if found else None


def _is_quantized(name: str, tensor: Tensor, sdnq: bool) -> bool:
    if len(tensor.shape) != 2 or not name.endswith(".weight") or not is_floating(tensor.kind):
        return False
    if name.startswith(_AT_THE_ENDS) or _NOT_QUANTIZED.search(name):
        return False
    return not sdnq or (math.prod(tensor.shape) >= _SDNQ_LEAST and tensor.shape[1] >= _SDNQ_INPUTS)


def _positions(config: Mapping[str, Value]) -> int:
    return 8 * _number(config, "max_position_embeddings", 77)


def _patches(config: Mapping[str, Value]) -> int:
    return 8 * ((_number(config, "image_size", 224) // _number(config, "patch_size", 32)) ** 2 + 1)


def _rotations(config: Mapping[str, Value]) -> int:
    return 2 * 4 * _number(config, "rope_max_seq_len", 1024) * _number(config, "attention_head_dim", 128)


def _number(config: Mapping[str, Value], key: str, default: int) -> int:
    value = config.get(key)
    return value if isinstance(value, int) and value > 0 else default


#: Buffers that are computed, and in no file.
_BUFFERS: Mapping[str, Callable[[Mapping[str, Value]], int]] = {
    **dict.fromkeys(("CLIPTextModel", "CLIPTextModelWithProjection"), _positions),
    **dict.fromkeys(("CLIPVisionModel", "CLIPVisionModelWithProjection"), _patches),
    **dict.fromkeys(("WanTransformer3DModel", "WanVACETransformer3DModel", "SkyReelsV2Transformer3DModel"), _rotations),
}
