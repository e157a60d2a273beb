"""Content keys: what must be equal for a component or a result to be used again. Names and spelling do not count."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from dw_lsp.text.syntax_tree import Value

#: Keywords of `from_pretrained` that change how a component is loaded, but not what it is.
NOT_IDENTITY = frozenset(
    {
        "model_name",
        "low_cpu_mem_usage",
        "use_safetensors",
        "local_files_only",
        "cache_dir",
        "token",
        "force_download",
        "proxies",
        "device_map",
        "max_memory",
        "subfolder",
        "revision",
        "variant",
    }
)
#: Keywords that a component's own loader is given and that decide what it loads; of files, what is in them counts.
OF_COMPONENTS = ("torch_dtype", "quantization_config")
_DTYPE_ALIASES = {"half": "float16", "float": "float32", "double": "float64"}


def canonical(value: Value | Mapping[str, Value]) -> str:
    """The value in one spelling: keys sorted, `1.0` as `1`, so that equal meanings give equal text."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def content_digest(text: str) -> str:
    """A digest long enough to take two texts with the same one for equal."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def bytes_digest(*parts: bytes | bytearray | memoryview) -> str:
    """The same for bytes; parts are read as if they were one."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        state.update(part)
    return state.hexdigest()


def digest(*parts: str) -> str:
    """A short digest of the parts, with their borders."""
    state = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        state.update(len(data).to_bytes(8, "big") + data)
    return state.hexdigest()


def component_key(name: str, class_name: str, source: str, loading: Mapping[str, Value]) -> str:
    """The key of a component: readable name in front, digest of everything that decides its weights behind.

    Arguments: `source` identifies the files (digest of a local folder, repository and commit of a hub model), `loading`
    are the keywords of the load (dtype, variant, quantization ...).
    """
    return f"{name}:{digest(class_name, source, canonical(loading_identity(loading)))}"


def loading_identity(loading: Mapping[str, Value]) -> dict[str, Value]:
    """The keywords of a load that decide what is loaded, each dtype in its short spelling."""
    return {key: _spelled(key, value) for key, value in loading.items() if key not in NOT_IDENTITY}


def component_loading(loading: Mapping[str, Value]) -> dict[str, Value]:
    """The keywords of a load that decide what one component is: the others are for a pipeline, or for nobody."""
    return {key: loading[key] for key in OF_COMPONENTS if loading.get(key) is not None}


def short_dtype(name: str) -> str:
    """The name of a dtype in its one spelling: `float16` for `torch.half`."""
    short = name.removeprefix("torch.")
    return _DTYPE_ALIASES.get(short, short)


def _spelled(key: str, value: Value) -> Value:
    """A value in which dtypes are in one spelling; those for several components stand in an object of their own."""
    named = key.endswith("dtype")
    if isinstance(value, dict):
        return {name: _spelled(key if named else name, item) for name, item in value.items()}
    return short_dtype(value) if named and isinstance(value, str) else value
