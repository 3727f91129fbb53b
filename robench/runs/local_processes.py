"""The executor of this machine: a few processes, each with its own share of the cores.

The processes are loky's, which start from nothing instead of forking, do not execute the user's
script again as those of :mod:`multiprocessing` do, and get their own environment: the number of
threads is set before torch is imported. Each does one piece at a time, is used again for the next,
and has its own connection, so that one that is killed takes no other with it.
"""

import signal
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from multiprocessing.process import BaseProcess
from typing import Self

from joblib.externals.loky.backend import get_context

from robench.errors import RobenchWarning, UserError
from robench.progress import Progress
from robench.runs.executor import Ended
from robench.runs.pieces import Piece
from robench.runs.progress import ProgressLine, ProgressReporter
from robench.runs.setup import Setup
from robench.runs.worker_process import Done, Message, Said, serve
from robench.system.environment import environment
from robench.system.interrupts import SIGNALS

PATIENCE = 20.0
"""Seconds that a process gets to keep what it has done before it is killed."""

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Variables of the environment that say with how many threads libraries compute."""


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    connection: Connection
    gpu: str | None = None
    piece: Piece | None = None
    line: ProgressLine | None = None

    def finish(self) -> Piece:
        """Return the piece that has ended."""
        piece, line = self.piece, self.line
        assert piece is not None
        assert line is not None
        line.close()
        self.piece = self.line = None
        return piece


class LocalProcesses:
    """Does pieces of work in processes of this machine; see :class:`Executor`.

    Args:
        setup: what the processes need to know of the run.
        jobs: the largest number of pieces at the same time.
        cores: the number of cores; pieces that take several threads each share them.
        reporter: gets a line for each piece.
        gpus: the GPUs that the processes share out, as ``CUDA_VISIBLE_DEVICES`` names them; on
            GPUs, results do not depend on the number of threads.
    """

    def __init__(
        self,
        setup: Setup,
        jobs: int,
        cores: int,
        reporter: ProgressReporter,
        gpus: Sequence[str] = (),
    ) -> None:
        self._setup, self._jobs, self._cores, self._reporter = setup, jobs, cores, reporter
        self._gpus = gpus
        self._workers: list[_Worker] = []
        self._said: set[str] = set()

    @property
    def free(self) -> bool:
        """Whether fewer pieces run than may; see :class:`Executor`."""
        return len(self._busy) < self._jobs

    def takes(self, piece: Piece) -> bool:
        """Return whether there are threads for it, or nothing else runs; see :class:`Executor`."""
        if self._gpus:
            return self.free
        taken = sum(worker.piece.threads for worker in self._busy if worker.piece is not None)
        enough = piece.threads == 1 or taken + piece.threads <= self._cores
        return self.free and (enough or not self._busy)

    def submit(self, piece: Piece) -> None:
        """Begin a piece, in a process that is idle or a new one; see :class:`Executor`."""
        idle = [worker for worker in self._workers if worker.piece is None]
        threads = max(1, self._cores // self._jobs) if self._gpus else piece.threads
        worker = idle[0] if idle else self._start(threads)
        worker.piece = piece
        worker.line = self._reporter.line(piece.name, piece.state)
        try:
            worker.connection.send(replace(piece, threads=threads))
        except OSError:
            return  # it has ended meanwhile; wait() finds the end of its connection

    def wait(self, seconds: float | None = None) -> Sequence[Ended]:
        """Wait until pieces have ended, pass on progress and warnings; see :class:`Executor`."""
        ended: list[Ended] = []
        deadline = None if seconds is None else time.monotonic() + seconds
        while not ended:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            by_connection = {worker.connection: worker for worker in self._busy}
            for connection in wait_for(list(by_connection), left):
                worker = by_connection[connection]  # type: ignore[index]
                try:
                    message: Message = worker.connection.recv()
                except (EOFError, OSError):
                    ended.append(self._lost(worker))
                    continue
                ended += self._received(worker, message)
        return ended

    def __enter__(self) -> Self:
        """Return the executor; processes are started when there are pieces for them."""
        return self

    def __exit__(self, *error: object) -> None:
        """End all processes; attacks keep what is done. A second Ctrl-C ends them at once."""
        try:
            for worker in self._busy:
                worker.process.terminate()
            for worker in self._workers:
                if worker.piece is None:
                    worker.connection.close()
            for worker in self._workers:
                worker.process.join(PATIENCE)
        finally:
            for worker in self._workers:
                if worker.process.is_alive():
                    worker.process.kill()
                    worker.process.join()
                worker.connection.close()
                if worker.line is not None:
                    worker.line.close()
            self._workers = []

    @property
    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.piece is not None]

    def _start(self, threads: int) -> _Worker:
        context = get_context("loky")
        ours, theirs = context.Pipe()
        # Without the current folder in front of sys.path, where files of a stranger may be.
        variables = dict.fromkeys(THREADS, str(threads)) | {"PYTHONSAFEPATH": "1"}
        gpu = self._free_gpu()
        if gpu is not None:
            variables["CUDA_VISIBLE_DEVICES"] = gpu
        process = context.Process(target=serve, args=(theirs, self._setup), env=variables)
        with _interrupts_blocked(), environment(PYTHONSAFEPATH="1"):
            process.start()
            theirs.close()  # so that the end of the process is the end of the connection
            worker = _Worker(process, ours, gpu)
            self._workers.append(worker)
        return worker

    def _free_gpu(self) -> str | None:
        """Return the GPU that the fewest processes have; None without GPUs."""
        taken = [worker.gpu for worker in self._workers]
        return min(self._gpus, key=taken.count, default=None)

    def _received(self, worker: _Worker, message: Message) -> list[Ended]:
        if isinstance(message, Progress):
            assert worker.line is not None
            worker.line.update(message)
            return []
        if isinstance(message, Said):
            if message.text not in self._said:
                self._said.add(message.text)
                warnings.warn(message.text, RobenchWarning, stacklevel=2)
            return []
        if isinstance(message, Done):
            return [Ended(worker.finish(), message.value)]
        if message.ends_process:
            self._part_with(worker)
        return [Ended(worker.finish(), error=message.error())]

    def _lost(self, worker: _Worker) -> Ended:
        """Return how the piece of a process ended that was killed or crashed."""
        self._part_with(worker)
        return Ended(worker.finish(), error=UserError(_ending(worker.process.exitcode)))

    def _part_with(self, worker: _Worker) -> None:
        worker.process.join(PATIENCE)
        self._workers.remove(worker)
        worker.connection.close()


def _ending(code: int | None) -> str:
    if code == -signal.SIGKILL:
        return (
            "the system killed its process, most likely because memory ran out: free some, or "
            "lower --jobs or the batch sizes of the board"
        )
    if code is not None and code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended with exit code {code}"


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Start processes that no signal reaches yet: they inherit which ones are blocked."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
