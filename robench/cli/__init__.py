"""The command line: parse, call, print. Heavy imports are deferred until a command needs them."""

import os
import signal
import sys
import threading
import warnings
from types import FrameType
from typing import Any, NoReturn

from robench.cli import boards, entries, making, networks, pictures, submissions  # noqa: F401 - commands
from robench.cli.options import app
from robench.cli.out_of_memory import OUT_OF_MEMORY, is_out_of_memory
from robench.errors import RobenchWarning, UserError

INTERRUPTED = 130
"""Exit code of Typer after Ctrl-C."""

TERMINATED = 143
"""Exit code after SIGTERM, which batch systems send when the time is up."""

GOES_ON = ("run", "train", "attack")
"""Commands that keep what is done."""


class _Terminated(KeyboardInterrupt):
    """SIGTERM, handled like Ctrl-C."""


def main() -> None:
    """Run the command line; a user error prints one sentence on stderr and exits with code 2.

    So does a lack of memory: what was finished before is stored, and nothing is half written.
    """
    shown = warnings.showwarning

    def show(message: Warning | str, *where: Any, **more: Any) -> None:
        if isinstance(message, RobenchWarning):
            print(f"robench: {message}", file=sys.stderr)
        else:
            shown(message, *where, **more)

    warnings.showwarning = show
    before = _handle_termination()
    try:
        app()
    except UserError as error:
        print(f"robench: {error}", file=sys.stderr)
        sys.exit(2)
    except (MemoryError, RuntimeError, ImportError) as error:
        if not is_out_of_memory(error):
            raise
        print(f"robench: {OUT_OF_MEMORY}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as stop:
        if stop.code != INTERRUPTED:
            raise
        print(f"robench: {_interrupted(sys.argv[1:])}", file=sys.stderr)
        sys.exit(TERMINATED if _was_terminated(stop) else INTERRUPTED)
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)
        _shutdown_workers()


def _handle_termination() -> Any:
    """Handle SIGTERM like Ctrl-C; return how it was handled before, None if it still is."""
    # torchrun ends its processes by SIGTERM, and would wait for those that wait for one another.
    alone = int(os.environ.get("WORLD_SIZE", 1)) == 1
    if not alone or threading.current_thread() is not threading.main_thread():
        return None
    return signal.signal(signal.SIGTERM, _terminate)


def _was_terminated(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, _Terminated):
        error = error.__cause__ or error.__context__
    return error is not None


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise _Terminated


def _interrupted(arguments: list[str]) -> str:
    """Return the sentence after Ctrl-C or SIGTERM."""
    command = arguments[0] if arguments else ""
    if command not in GOES_ON:
        return "interrupted."
    if command == "attack" and not any(a.split("=")[0] == "--out" for a in arguments):
        return "interrupted; with --out FILE.csv, the same command would go on where it stood."
    return "interrupted; the same command goes on where it stood."


def _shutdown_workers() -> None:
    """Tell the worker processes, if any, to exit."""
    if "robench.runs.workers" in sys.modules:
        from robench.runs.workers import shutdown

        shutdown()
