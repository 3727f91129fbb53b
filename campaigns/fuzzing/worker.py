"""A process that reads changed files, watched for time, memory, writes and programs."""

import multiprocessing
import os
import random
import resource
import signal
import sys
import traceback
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from campaigns.fuzzing.form import Form
from robench.errors import UserError

SECONDS = 10
"""A trial that takes more processor time hangs; other processes may share the processor."""

WAIT = 300
"""A trial that takes more seconds hangs, too: it waits for something."""

MEMORY = 2**30
"""Bytes that a trial may add to the process."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect")
_CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.chmod")


class Trial(NamedTuple):
    """A changed file: its format, the seed of the campaign and its number."""

    format: str
    seed: int
    number: int


class Workers:
    """A process that does one trial after another; a new one where it hung or died.

    Args:
        form: how files are changed and read.
        root: a folder of the campaign's own.
    """

    def __init__(self, form: Form, root: Path) -> None:
        self._form, self._root = form, root
        self._process: Any = None
        self._pipe: Any = None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def run(self, trial: Trial) -> str | None:
        """Return what went wrong in a trial; None if nothing did."""
        if self._process is None:
            self._start()
        self._pipe.send(trial)
        try:
            if not self._pipe.poll(WAIT + 60):  # the process itself stops before
                self._stop()
                return f"hung for {WAIT + 60} seconds"
            answer: str | None = self._pipe.recv()
        except (EOFError, ConnectionError):
            self._process.join(5)
            code = self._process.exitcode
            self._stop()
            return f"the process died (exit code {code})"
        if answer is not None:
            self._stop()  # what is left of it must not spoil the next trial
        return answer

    def _start(self) -> None:
        context = multiprocessing.get_context("fork")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_work, args=(self._form, self._root, other))
        self._process.start()
        other.close()

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None


def _work(form: Form, root: Path, pipe: Connection) -> None:
    """Do the trials that arrive."""
    (root / "empty").mkdir(exist_ok=True)
    os.chdir(root / "empty")
    sys.dont_write_bytecode = True
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - until it ends
    warnings.simplefilter("ignore")
    seen: list[str] = []
    watching = [False]
    home = str(root)

    def watch(event: str, values: tuple[Any, ...]) -> None:
        if not watching[0]:
            return
        if event == "open" and isinstance(values[2], int) and values[2] & _WRITING:
            if isinstance(values[0], (str, os.PathLike)) and not _harmless(str(values[0]), home):
                seen.append(f"wrote {values[0]}")
        elif event in _PROGRAMS:
            seen.append(f"{event} {values[:1]}")
        elif event in _CHANGES and not _harmless(str(values[0]), home):
            seen.append(f"{event} {values[0]}")

    sys.addaudithook(watch)
    form.warm_up()
    _limit_memory()
    signal.signal(signal.SIGPROF, _too_long)
    signal.signal(signal.SIGALRM, _too_long)
    while True:
        trial: Trial = pipe.recv()
        form.write(random.Random(f"{trial.format} {trial.seed} {trial.number}"))
        before = _size_before()
        failure = None
        watching[0] = True
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        signal.alarm(WAIT)
        try:
            form.read(random.Random(trial.number))
        except UserError as error:
            if len(str(error)) > 1500:
                failure = f"a message of {len(str(error))} characters: {str(error)[:200]}"
        except BaseException as error:
            failure = "".join(traceback.format_exception_only(error)).strip()[:300]
            frames = traceback.extract_tb(error.__traceback__)
            ours = [f for f in frames if "robench" in f.filename] or frames
            failure += f" ({Path(ours[-1].filename).name}:{ours[-1].lineno})"
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        watching[0] = False
        if failure is None and _memory("VmHWM") - before > MEMORY:
            failure = "took more than 1 GiB"
        if failure is None and seen:
            failure = seen[0]
        pipe.send(failure)


class HangsError(BaseException):
    """A trial took too long; no ``Exception``, so that no reader takes it for a damaged file."""


def _too_long(number: int, frame: object) -> None:
    waited = number == signal.SIGALRM
    raise HangsError(f"took more than {WAIT if waited else SECONDS} seconds")


def _harmless(path: str, home: str) -> bool:
    return path == os.devnull or path.startswith(f"{home}/out/")


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + 3 * MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _size_before() -> int:
    """Return the size of the process in memory, or the largest one so far if it is not much more.

    A new largest size is counted from here only if need be: to begin anew takes longer than most
    trials.
    """
    largest = _memory("VmHWM")
    if largest - _memory("VmRSS") < MEMORY // 16:
        return largest
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmHWM")


def _memory(name: str) -> int:
    """Return a size of the process: ``VmRSS``, or ``VmHWM`` for the largest so far; in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(name)))
