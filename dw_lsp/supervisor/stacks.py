"""What Python's faulthandler writes to standard error: which of the stacks in it tells where a worker was."""

from __future__ import annotations

import re
from collections.abc import Sequence

_HEAD = re.compile(r"(Current thread|Thread) 0x[0-9a-f]+.*\(most recent call first\):")
_FATAL = "Fatal Python error:"
_FRAME = "  "
#: The installed package that a frame belongs to.
_PACKAGE = re.compile(r'^  File ".*[/\\](?:site|dist)-packages[/\\](\w+)')
#: Frames of the engine's `computing_thread`: of who waits, and of who computes.
_WAITS, _COMPUTES = (re.compile(rf'computing_thread\.py", line \d+ in {name}$') for name in ("call", "_work"))


def place_of_death(lines: Sequence[str]) -> str | None:
    """The stack of the thread in which native code died, with its cause; `None` when no such thing was written."""
    begin = next((index for index in range(len(lines) - 1, -1, -1) if lines[index].startswith(_FATAL)), None)
    if begin is None:
        return None
    blocks = _blocks(lines[begin:])
    own = next((frames for head, frames in blocks if head.startswith("Current")), None)
    return "\n".join([lines[begin], *(own or ())])


def package_of(stack: str) -> str | None:
    """The installed package whose code stands innermost in a stack; `None` when there is none."""
    found = (_PACKAGE.match(line) for line in stack.splitlines())
    return next((match[1] for match in found if match), None)


def place_of_main_thread(lines: Sequence[str]) -> str | None:
    """The stack of the thread that does the work, which stands last in a dump; `None` when there is no dump.

    Where that one waits for a thread that computes for it, the stack of the latter.
    """
    stacks = [frames for _, frames in _blocks(lines)]
    if not stacks:
        return None
    computing = [frames for frames in stacks[:-1] if any(_COMPUTES.search(frame) for frame in frames)]
    waits = any(_WAITS.search(frame) for frame in stacks[-1])
    own = computing[0] if waits and computing else stacks[-1]
    return "\n".join(["Where it was (most recent call first):", *own])


def _blocks(lines: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Each thread's head and frames."""
    found: list[tuple[str, list[str]]] = []
    for line in lines:
        if _HEAD.match(line):
            found.append((line, []))
        elif found and line.startswith(_FRAME):
            found[-1][1].append(line)
    return [(head, frames) for head, frames in found if frames]
