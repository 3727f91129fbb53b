"""``robench`` in forked copies of a process that has imported everything: a trial takes 1 s."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

BOARD = """
title = "tiny"
defenses = ["batchnorm"]
seeds = [0]

[data]
name = "digits"
subset = 0.1

[model]
name = "two_convs"
width = 2

[training]
method = "standard"
epochs = 2
batch_size = 64
lr = 0.02

[evaluation]
attacks = ["fgsm", "pgd-2"]
samples = 20
checks = false

[evaluation.defaults]
eps = 0.1
step_size = 0.05
"""
"""A board that is trained and attacked in half a second."""

TRACEBACK = "Traceback (most recent call last)"
NOTICE = "; made again."
"""How a line about a file that cannot be read ends, before a refusal or a success."""


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: the exit code; negative: the signal that killed it.
        out: what it printed.
        err: what it printed on stderr.
        seconds: how long it took.
    """

    code: int
    out: str
    err: str
    seconds: float

    def wrong(self, codes: Sequence[int]) -> str | None:
        """Return what is wrong with the end: a traceback, another exit code; None if nothing."""
        if TRACEBACK in self.err:
            return f"traceback: {self.err.strip().splitlines()[-1]}"
        if self.code not in codes:
            return f"exit code {self.code}: {self.err.strip()[-300:]}"
        said = [line for line in self.err.splitlines() if line.startswith("robench: ")]
        said = [line for line in said if not line.endswith(NOTICE)]
        if self.code == 2 and len(said) != 1:
            return f"{len(said)} sentences: {self.err.strip()[-300:]}"
        return None


class Process:
    """A forked process that runs a command.

    Args:
        arguments: those of the command line, without ``robench``.
        scratch: a folder for what it prints.
        prepare: called in the process before the command.
    """

    def __init__(
        self, arguments: Sequence[object], scratch: Path, prepare: Callable[[], None] | None = None
    ) -> None:
        scratch.mkdir(parents=True, exist_ok=True)
        self._start = time.monotonic()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        self._files = [scratch / f"{name}.{self.pid or os.getpid()}" for name in ("out", "err")]
        if self.pid == 0:
            in_child(self._files, [str(argument) for argument in arguments], prepare)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait(self, seconds: float = 600.0) -> Ended:
        """Return how it ended; one that takes longer is killed, which counts as -9."""
        deadline = self._start + seconds
        while True:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                break
            if time.monotonic() > deadline:
                self.kill()
            time.sleep(0.002)
        out, err = (path.read_text() if path.exists() else "" for path in self._files)
        for path in self._files:
            path.unlink(missing_ok=True)
        code = os.waitstatus_to_exitcode(status)
        return Ended(code, out, err, time.monotonic() - self._start)


def in_child(
    files: Sequence[Path], arguments: Sequence[str], prepare: Callable[[], None] | None
) -> None:
    """Run a command in this process and end the process.

    Args:
        files: where to write what it prints on stdout and on stderr.
        arguments: those of the command line, without ``robench``.
        prepare: called before the command.
    """
    code = 70
    try:
        for descriptor, path in enumerate(files, start=1):
            opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(opened, descriptor)
            os.close(opened)
        sys.stdout, sys.stderr = (os.fdopen(n, "w", closefd=False) for n in (1, 2))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        code = command(arguments, prepare)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def command(arguments: Sequence[str], prepare: Callable[[], None] | None = None) -> int:
    """Run a command of robench in this process and return its exit code."""
    import traceback

    from robench.cli import main

    sys.argv = ["robench", *arguments]
    try:
        if prepare is not None:
            prepare()
        main()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def run(
    arguments: Sequence[object],
    scratch: Path,
    prepare: Callable[[], None] | None = None,
    *,
    kill_after: float | None = None,
) -> Ended:
    """Run a command in a forked process, killed after some seconds if asked to."""
    process = Process(arguments, scratch, prepare)
    if kill_after is not None:
        time.sleep(kill_after)
        process.kill()
    return process.wait()


@dataclass(frozen=True)
class Ground:
    """What trials start from.

    Attributes:
        scratch: a folder for what they write.
        board: the board's file.
        undisturbed: the folder that an undisturbed run of it wrote.
        seconds: how long such a run takes once everything is imported.
    """

    scratch: Path
    board: Path
    undisturbed: Path
    seconds: float

    def run(self, out: Path, prepare: Callable[[], None] | None = None) -> Ended:
        """Run the board in a forked process."""
        return run(of_board(self.board, out), self.scratch, prepare)

    def empty(self) -> Path:
        """Return the folder that a trial may write, after the last trial's files are removed."""
        out = self.scratch / "out"
        shutil.rmtree(out, ignore_errors=True)
        return out


def warmed_up(scratch: Path) -> Ground:
    """Import what a run needs, by one undisturbed run in this process.

    Args:
        scratch: a folder.
    """
    import torch

    from campaigns.sample import PLUGIN
    from robench.plugins import load_plugin

    torch.set_num_threads(1)
    load_plugin(PLUGIN)
    scratch.mkdir(parents=True, exist_ok=True)
    board, out = scratch / "tiny.toml", scratch / "undisturbed"
    board.write_text(BOARD)
    os.environ["COLUMNS"] = "100"
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        shown, sys.stdout = sys.stdout, nowhere
        try:
            code = command(of_board(board, out))
            command(["verify", str(out / "tiny"), "--rows", "1", "--store", str(out)])
            command(["page", str(out / "tiny")])
        finally:
            sys.stdout = shown
    assert code == 0, "the undisturbed run failed"
    (out / "tiny" / "page.html").unlink()
    _draw_no_more((out / "tiny" / "curves.svg").read_bytes())
    again = run(of_board(board, scratch / "timed"), scratch)
    assert again.code == 0, again.err
    return Ground(scratch, board, out, again.seconds)


def _draw_no_more(picture: bytes) -> None:
    """Let runs write this picture of the curves: drawing it would take two thirds of a trial."""
    from robench.leaderboard import pictures
    from robench.system.files import write_bytes

    def written(curves: object, rows: object, caption: str, path: Path) -> None:
        write_bytes(path, picture)

    vars(pictures)["draw_curves"] = written


def of_board(board: Path, out: Path) -> list[str]:
    """Return the arguments that run a board."""
    return ["run", str(board), "--out", str(out), "--device", "cpu"]
