"""`python -m dw_lsp`, and the `dw-lsp` script: the command line."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Do what the command line says and end this process with its exit code."""
    from dw_lsp.cli.main import execute

    sys.exit(execute(sys.argv[1:]))


if __name__ == "__main__":
    main()
