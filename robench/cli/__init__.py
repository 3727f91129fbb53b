"""The command line: parses, calls, prints. Heavy imports wait until a command needs them."""

import sys
import warnings
from typing import Any

from robench.cli import boards, entries, making, networks, submissions  # noqa: F401 - commands
from robench.cli.options import app
from robench.errors import RobenchWarning, UserError

INTERRUPTED = 130
"""Exit code that Typer gives to Ctrl-C."""


def main() -> None:
    """Run the command line; a user's mistake is one sentence on stderr and exit code 2."""
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
            print("robench: interrupted; the same command goes on where it stood.", file=sys.stderr)
        raise
    finally:
        _shutdown_workers()


def _shutdown_workers() -> None:
    """Tell the processes that help this one, where there are any, that nothing more is to do."""
    if "robench.runs.workers" in sys.modules:
        from robench.runs.workers import shutdown

        shutdown()
