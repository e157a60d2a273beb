"""Keys of components: equal for equal meanings, different for different weights."""

from __future__ import annotations

from dw_lsp.workflow.identity import canonical, component_key, digest


def test_key_order_and_spelling_of_numbers_do_not_count() -> None:
    assert canonical({"a": 1.0, "b": [True, None]}) == canonical({"b": [True, None], "a": 1})


def test_true_is_not_one() -> None:
    assert canonical({"a": True}) != canonical({"a": 1})


def test_the_borders_between_parts_count() -> None:
    assert digest("ab", "c") != digest("a", "bc")


def test_how_it_is_loaded_counts_only_where_it_changes_the_weights() -> None:
    plain = component_key("unet", "UNet", "source", {})
    assert component_key("unet", "UNet", "source", {"low_cpu_mem_usage": True}) == plain
    assert component_key("unet", "UNet", "source", {"torch_dtype": "torch.float16"}) != plain
    assert component_key("unet", "UNet", "other", {}) != plain
    assert plain.startswith("unet:")
