"""Every task command of the format, whether or not the engine runs it yet, by name."""

from __future__ import annotations

from collections.abc import Mapping

from dw_lsp.workflow.format.audio_commands import AUDIO_COMMANDS
from dw_lsp.workflow.format.command import Command
from dw_lsp.workflow.format.image_commands import IMAGE_COMMANDS
from dw_lsp.workflow.format.image_processors import PROCESSORS
from dw_lsp.workflow.format.text_commands import TEXT_COMMANDS
from dw_lsp.workflow.format.video_commands import VIDEO_COMMANDS

COMMANDS: Mapping[str, Command] = {
    command.name: command
    for command in sorted(
        (*AUDIO_COMMANDS, *IMAGE_COMMANDS, *PROCESSORS, *TEXT_COMMANDS, *VIDEO_COMMANDS),
        key=lambda command: command.name,
    )
}
