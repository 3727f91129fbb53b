"""Ray: each call is a task, which Ray starts on a machine that has the CPUs or the GPU for it."""

import logging
import os
import signal
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from robench.errors import UserError, first_line
from robench.runs.jobs import MEMORY
from robench.runs.pieces import Piece
from robench.runs.remote import Handle, LostError
from robench.runs.remote_work import Answer, Parcel, do_remotely
from robench.runs.setup import Setup
from robench.system.interrupts import SIGNALS

try:
    import ray
    from ray.exceptions import RayError, TaskCancelledError
except ImportError as error:
    raise UserError("--executor ray needs Ray: pip install 'robench[ray]'.") from error


class RayEngine:
    """Makes calls as Ray tasks; see :class:`robench.runs.remote.Engine`.

    Args:
        address: the cluster; empty to start one on this machine.
        on_gpu: whether each call gets a GPU.

    Raises:
        UserError: if the cluster cannot be reached, or has no GPU although each call needs one.
    """

    def __init__(self, address: str, *, on_gpu: bool) -> None:
        self._on_gpu = on_gpu
        self._started = not ray.is_initialized()
        if self._started:
            _connect(address)
        self._nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        # The driver hands out again what is lost. A process that ends gives the GPU's memory back;
        # on CPUs it is used again, and keeps data and libraries.
        self._task = ray.remote(max_retries=0, max_calls=1 if on_gpu else 0)(do_remotely)
        kind = "GPU" if on_gpu else "CPU"
        self._most = max((node.get("CPU", 0) for node in self._nodes), default=0)
        self._gpus = max((node.get("GPU", 0) for node in self._nodes), default=0)
        self._memory = max((node.get("memory", 0) for node in self._nodes), default=0)
        self._slots = int(sum(node.get(kind, 0) for node in self._nodes))
        if not self._slots:
            self.close()
            raise UserError(f"the Ray cluster has no {kind}; add one, or choose another --device.")

    @property
    def slots(self) -> int:
        """The CPUs of all machines, or their GPUs."""
        return self._slots

    def check(self, setup: Setup, piece: Piece) -> None:
        """Refuse a piece that needs more of a machine than any has: Ray would wait for one.

        Raises:
            UserError: if it does.
        """
        if self._cpus(setup, piece) > self._most:
            raise UserError(
                f"{piece.name} is computed with {self._cpus(setup, piece)} threads, but no machine "
                f"of the Ray cluster has more than {int(self._most)} CPUs; set OMP_NUM_THREADS"
                f"{' or processes' if setup.processes > 1 else ''} to less."
            )
        if self._memory < MEMORY:
            raise UserError(
                f"{piece.name} needs {MEMORY / 2**30:g} GiB of memory, but Ray has "
                f"{self._memory / 2**30:.1f} GiB at most on a machine; free memory there, or start "
                f"Ray with more (ray start --memory)."
            )
        if self._on_gpu and setup.processes_for(piece) > self._gpus:
            raise UserError(
                f"{piece.name} is trained by {setup.processes} processes, but no machine of the "
                f"Ray cluster has more than {int(self._gpus)} GPUs; lower processes."
            )

    def call(self, setup: Setup, piece: Piece, sign: str, parcel: Parcel | None) -> Handle:
        """Start a task."""
        options = {
            "num_cpus": self._cpus(setup, piece),
            "num_gpus": setup.processes_for(piece) if self._on_gpu else 0,
            "memory": int(MEMORY),
            "name": f"{piece.state} {piece.name}",
        }
        return self._task.options(**options).remote(setup, piece, sign, parcel)

    def ended(self, handles: Sequence[Handle], seconds: float) -> Sequence[Handle]:
        """Wait for tasks."""
        if not handles:
            return []
        ready, _ = ray.wait(list(handles), num_returns=1, timeout=seconds, fetch_local=False)
        more, _ = ray.wait(list(handles), num_returns=len(handles), timeout=0, fetch_local=False)
        return list({*ready, *more})

    def answer(self, handle: Handle) -> Answer:
        """Return what a task returned.

        Raises:
            LostError: if its process or machine was lost.
        """
        try:
            answer: Any = ray.get(handle)
        except TaskCancelledError as error:
            raise LostError("it was canceled") from error
        except RayError as error:
            lines = str(error).strip().splitlines() or [""]
            sentence = lines[-1].partition(". ")[0]  # what follows is advice on Ray's own logs
            raise LostError(f"{type(error).__name__}: {sentence}".rstrip(".: ")) from error
        assert isinstance(answer, Answer)
        return answer

    def cancel(self, handle: Handle, *, force: bool) -> None:
        """Interrupt a task as Ctrl-C does, or kill its process."""
        ray.cancel(handle, force=force)

    def close(self) -> None:
        """Disconnect, and end the cluster if it was started here."""
        if self._started:
            ray.shutdown()

    def _cpus(self, setup: Setup, piece: Piece) -> int:
        return setup.processes_for(piece) * (1 if self._on_gpu else piece.threads)


def _connect(address: str) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # "local", or Ray would join whatever cluster was last started on this machine.
    options: dict[str, Any] = {"address": address or "local"}
    _check_answers(address)
    if not address:
        options["include_dashboard"] = False
    # With a working folder of their own, processes do not get the current one in sys.path, where
    # files of a stranger may be.
    with tempfile.TemporaryDirectory(prefix="robench-ray-") as nowhere, _own_handlers():
        try:
            ray.init(
                **options,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={"working_dir": nowhere},
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            where = f"the Ray cluster at '{address}'" if address else "Ray on this machine"
            raise UserError(f"cannot reach {where} ({first_line(error)}).") from error


def _check_answers(address: str) -> None:
    """Refuse an address at which nobody listens: Ray would try for minutes.

    Raises:
        UserError: if it is HOST:PORT or ray://HOST:PORT, and there is no such machine or port.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise UserError(f"cannot reach the Ray cluster at '{address}' ({reason}).") from error


@contextmanager
def _own_handlers() -> Iterator[None]:
    """Keep this process's handlers of signals, which Ray would replace."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
