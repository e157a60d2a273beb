"""Remembers texts in which a rule found nothing, so that what was not edited is not judged again at each key stroke."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dw_lsp.analysis.findings import Finding

#: Texts that are remembered; a document of 2,000 lines has about 130 steps.
MOST = 4000


class Faultless:
    """The texts without a finding of one rule, which must hang on the text alone."""

    def __init__(self) -> None:
        self._texts: set[str] = set()

    def __contains__(self, text: str) -> bool:
        return text in self._texts

    def judge(self, text: str, rule: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
        """What the rule finds; it is not asked about a text in which it has found nothing before."""
        if text in self._texts:
            return
        found = False
        for each in rule():
            found = True
            yield each
        if not found:
            if len(self._texts) >= MOST:
                self._texts.clear()
            self._texts.add(text)
