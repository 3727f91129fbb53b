"""The command line: parse, call, print. Heavy imports are deferred until a command needs them."""

import sys
import warnings
from typing import Any

from robench.cli import boards, entries, making, networks, submissions  # noqa: F401 - commands
from robench.cli.options import app
from robench.errors import RobenchWarning, UserError

INTERRUPTED = 130
"""Exit code of Typer after Ctrl-C."""


def main() -> None:
    """Run the command line; a user error prints one sentence on stderr and exits with code 2."""
    shown = warnings.showwarning

    def show(message: Warning | str, *where: Any, **more: Any) -> None:
        if isinstance(message, RobenchWarning):
            print(f"robench: {message}", file=sys.stderr)
        else:
            shown(message, *where, **more)

    warnings.showwarning = show
    try:
        app()
    except UserError as error:
        print(f"robench: {error}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            print("robench: interrupted; run the same command again to resume.", file=sys.stderr)
        raise
    finally:
        _shutdown_workers()


def _shutdown_workers() -> None:
    """Tell the worker processes, if any, to exit."""
    if "robench.runs.workers" in sys.modules:
        from robench.runs.workers import shutdown

        shutdown()
