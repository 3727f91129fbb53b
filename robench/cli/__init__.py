"""The command line: parse, call, print. Heavy imports are deferred until a command needs them."""

import os
import signal
import sys
import threading
import warnings
from types import FrameType
from typing import Any, NoReturn

from robench.cli import (  # noqa: F401 - commands
    about,
    boards,
    certifying,
    challenges,
    comparing,
    entries,
    exporting,
    gans,
    hub,
    making,
    networks,
    pictures,
    submissions,
)
from robench.cli.failures import sentence_of
from robench.cli.options import app
from robench.errors import RobenchWarning
from robench.system.out_of_memory import chain_of

INTERRUPTED = 130
"""Exit code of Typer after Ctrl-C."""

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Handled like Ctrl-C: batch systems send SIGTERM when the time is up, a terminal that is closed
SIGHUP. The exit code is 128 and the number of the signal, 143 and 129, as in a shell."""

GOES_ON = ("run", "train", "attack", "gan train")
"""Commands that keep what is done."""


class _Terminated(KeyboardInterrupt):
    """A signal, handled like Ctrl-C; its number is the argument."""


def main() -> None:
    """Run the command line; a user error prints one sentence on stderr and exits with code 2.

    So does what else :func:`robench.cli.failures.sentence_of` knows, such as a lack of memory: what
    was finished before is stored, and nothing is half written.
    """
    shown = warnings.showwarning
    warned: set[str] = set()

    def show(message: Warning | str, *where: Any, **more: Any) -> None:
        if isinstance(message, RobenchWarning):
            if str(message) in warned:  # such as what each attack of a row would repeat
                return
            warned.add(str(message))
            print(f"robench: {_visible(str(message))}", file=sys.stderr)
        else:
            shown(message, *where, **more)

    warnings.showwarning = show
    before = _handle_termination()
    try:
        app()
    except (Exception, SystemExit) as error:
        if (said := sentence_of(error)) is not None:
            print(f"robench: {_visible(said)}", file=sys.stderr)
            sys.exit(2)
        if not isinstance(error, SystemExit) or error.code != INTERRUPTED:
            raise
        print(f"robench: {_interrupted(sys.argv[1:])}", file=sys.stderr)
        sys.exit(_exit_code(error))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _shutdown_workers()


def _visible(text: str) -> str:
    """Return a message without what a terminal takes for a command: it may repeat a file's text."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def _handle_termination() -> dict[int, Any]:
    """Handle SIGTERM and SIGHUP like Ctrl-C; return how those that now are were handled before."""
    # torchrun ends its processes by SIGTERM, and would wait for those that wait for one another.
    alone = int(os.environ.get("WORLD_SIZE", 1)) == 1
    if not alone or threading.current_thread() is not threading.main_thread():
        return {}
    # After 'nohup', SIGHUP is ignored and stays so.
    handled = [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]
    return {number: signal.signal(number, _terminate) for number in handled}


def _exit_code(error: BaseException | None) -> int:
    ended = next((each for each in chain_of(error) if isinstance(each, _Terminated)), None)
    return INTERRUPTED if ended is None else 128 + int(ended.args[0])


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise _Terminated(number)


def _interrupted(arguments: list[str]) -> str:
    """Return the sentence after Ctrl-C, SIGTERM or SIGHUP."""
    command = " ".join(arguments[: 2 if arguments[:1] == ["gan"] else 1])
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
