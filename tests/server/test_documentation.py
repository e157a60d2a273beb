"""Each rule's documentation is found where a diagnostic points."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest

from dw_lsp.analysis.rules import RULES
from dw_lsp.server.documentation import address_of


@pytest.mark.parametrize("code", [rule.code for rule in RULES])
def test_a_rule_s_section_is_there(code: str) -> None:
    address = address_of(code)
    assert address is not None
    parts = urlsplit(address)
    with open(unquote(parts.path), encoding="utf-8") as page:
        assert f"\n## {parts.fragment}\n" in page.read().replace("`", "")
