"""What the client is told of the features agrees with what answers them."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from dw_lsp.analysis.semantic_tokens import TOKEN_MODIFIERS, TOKEN_TYPES
from dw_lsp.server.features import FEATURES, LEGEND


@pytest.mark.parametrize("method", FEATURES)
def test_each_is_there_and_waits_if_it_is_said_to(method: str) -> None:
    feature = FEATURES[method]
    assert inspect.iscoroutinefunction(feature.load()) == feature.waits


def test_the_legend_is_that_of_the_analysis() -> None:
    assert (LEGEND.token_types, LEGEND.token_modifiers) == (list(TOKEN_TYPES), list(TOKEN_MODIFIERS))


def test_no_feature_is_imported_at_the_start() -> None:
    features = {f"dw_lsp.server.{feature.module}" for feature in FEATURES.values()}
    code = f"import sys, dw_lsp.server.serve; sys.exit(bool({features!r} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
