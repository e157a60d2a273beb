"""What holds for all tests: the processes that they start take signals as usual."""

from __future__ import annotations

import signal

# Started in the background of a shell, this process (and so every one that it starts) would not hear some of them.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
