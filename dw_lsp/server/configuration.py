"""The settings: the environment's, then what the client sends at the start, then what it answers when asked."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer

from dw_lsp.settings import Settings, read_settings, settings_from_environment

#: How long a command waits for a client's first settings, in seconds: then its others have to do.
PATIENCE = 2.0


class Configuration:
    """The settings in use.

    Arguments: the server, to ask and to tell; `changed` is called with each new settings.
    """

    def __init__(self, server: LanguageServer, changed: Callable[[Settings], None]):
        self._server, self._changed = server, changed
        self._base, self._problems = settings_from_environment(os.environ)
        self._told: set[str] = set()
        self._known = asyncio.Event()
        self.settings = self._base

    def initialize(self, options: Any) -> None:
        """Take the initialization options: the settings, or an object that has them under `dw`."""
        if isinstance(options, dict) and options:
            self._base, problems = read_settings(_section(options), self._base)
            self._problems += problems
        self.settings = self._base

    async def pull(self) -> None:
        """Ask the client for its settings; one that cannot answer keeps what it sent at the start."""
        problems = self._problems
        # What is commanded from here on waits for the answer: a client says that its settings changed, then commands.
        self._known.clear()
        if self._can_be_asked():
            item = types.ConfigurationItem(section="dw")
            try:
                answers = await self._server.workspace_configuration_async(types.ConfigurationParams(items=[item]))
            except JsonRpcException as error:
                problems += (f"the settings could not be read: {error.message}",)
            else:
                problems += self._take(answers[0] if answers else None)
        self._known.set()
        self._changed(self.settings)
        self._tell(problems)

    def push(self, settings: Any) -> None:
        """Take settings that the client sends with the news of their change."""
        if isinstance(settings, dict) and settings:
            problems = self._take(_section(settings))
            self._changed(self.settings)
            self._tell(problems)

    async def known(self) -> None:
        """Wait for the client's answer: what is commanded right after a start or a change goes by it, too."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._known.wait(), PATIENCE)
        self._known.set()

    @property
    def pulls(self) -> bool:
        """Whether the client is asked; if not, it has to send its settings."""
        return self._can_be_asked()

    def _take(self, value: Any) -> tuple[str, ...]:
        self.settings, problems = read_settings(value if isinstance(value, dict) else {}, self._base)
        return problems

    def _can_be_asked(self) -> bool:
        workspace = self._server.client_capabilities.workspace
        return bool(workspace and workspace.configuration)

    def _tell(self, problems: tuple[str, ...]) -> None:
        """Show each problem once."""
        new = [problem for problem in dict.fromkeys(problems) if problem not in self._told]
        self._told.update(new)
        if new:
            message = "dw-lsp settings: " + "; ".join(new)
            self._server.window_show_message(types.ShowMessageParams(type=types.MessageType.Warning, message=message))


def _section(value: dict[str, Any]) -> dict[str, Any]:
    inner = value.get("dw")
    return inner if isinstance(inner, dict) else value
