"""Slurm, through submitit: each call is a job in the queue, never more of them than ``--jobs``.

submitit keeps a job's call, result and output in a folder, which all machines must see, as they
must see the run store.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from robench.errors import UserError, did_you_mean, first_line
from robench.runs.jobs import MEMORY
from robench.runs.pieces import Piece
from robench.runs.remote import Handle, LostError
from robench.runs.remote_work import Answer, Parcel, do_remotely
from robench.runs.resources import Resources
from robench.runs.setup import Setup
from robench.system.environment import environment

try:
    import submitit
    from submitit.core.utils import FailedJobError, UncompletedJobError
except ImportError as error:
    raise UserError("--executor slurm needs submitit: pip install 'robench[slurm]'.") from error

SLOTS = 8
"""Jobs in the queue at the same time, if ``--jobs`` does not say."""

_GPUS = frozenset({"gpus_per_node", "gpus_per_task", "num_gpus", "gres"})
_MEMORY = frozenset({"mem_gb", "mem", "mem_per_cpu", "mem_per_gpu"})
"""The keys by which a user asks for GPUs or memory, without ``slurm_``: never in two ways."""

_TIME = frozenset({"timeout_min", "time"})
MINUTES = 240
"""Minutes that a job may take, if the user does not say: submitit's own default is five."""

_REFUSALS = (NameError, TypeError, ValueError, AssertionError, FailedJobError)
"""What submitit raises if a parameter is not known or of another type, or the queue refuses."""

CLUSTERS = ("slurm", "local", "debug")
"""submitit's kinds of clusters: the last two are rehearsals on this machine."""


class SlurmEngine:
    """Makes calls as jobs; see :class:`robench.runs.remote.Engine`.

    Args:
        cluster: ``"slurm"``; ``"local"`` for processes of this machine, ``"debug"`` for this one.
        folder: where jobs keep their calls, results and output.
        resources: its scheduler's keys are arguments of submitit's
            ``AutoExecutor.update_parameters``, such as ``timeout_min``, ``mem_gb``,
            ``gpus_per_node``, ``slurm_partition`` and ``slurm_setup``.
        on_gpu: whether a job gets a GPU for each of its processes. Its memory is then left to the
            cluster, since that of a process with a GPU depends on its libraries.

    Raises:
        UserError: if there is no such cluster, or this machine cannot submit to it.
    """

    def __init__(self, cluster: str, folder: Path, resources: Resources, *, on_gpu: bool) -> None:
        if cluster not in CLUSTERS:
            raise UserError(f"there is no cluster '{cluster}'; {did_you_mean(cluster, CLUSTERS)}")
        try:
            self._executor = submitit.AutoExecutor(folder.absolute(), cluster=cluster)
        except RuntimeError as error:
            raise UserError(
                f"this machine cannot submit to Slurm ({error}); slurm:local rehearses it here."
            ) from error
        self._parameters = resources.scheduler
        self._on_gpu = on_gpu

    @property
    def slots(self) -> int:
        """A small number: a queue is shared with others."""
        return SLOTS

    def check(self, setup: Setup, piece: Piece) -> None:
        """Refuse nothing: Slurm itself does."""

    def call(self, setup: Setup, piece: Piece, sign: str, parcel: Parcel | None) -> Handle:
        """Submit a job.

        Raises:
            UserError: if a parameter is none of submitit's, or the queue refuses the job.
        """
        try:
            asked = self._asked(piece.threads, setup.processes_for(piece))
            self._executor.update_parameters(**asked)
            # Jobs inherit it: without the current folder in front of sys.path, where files of a
            # stranger may be.
            with environment(PYTHONSAFEPATH="1"):
                return self._executor.submit(do_remotely, setup, piece, sign, parcel)
        except _REFUSALS as error:
            first = first_line(error).rstrip(".")
            raise UserError(f"the job cannot be submitted: {first}.") from error

    def _asked(self, threads: int, processes: int) -> dict[str, Any]:
        """Return what a job asks for; what the user asks for takes the place of ours."""
        ours: dict[str, Any] = {"name": "robench", "cpus_per_task": threads * processes}
        if self._on_gpu:
            if not self._names(_GPUS):
                ours["gpus_per_node"] = processes
        elif not self._names(_MEMORY):
            ours["mem_gb"] = MEMORY / 2**30 * processes
        if not self._names(_TIME):
            ours["timeout_min"] = MINUTES
        return ours | dict(self._parameters)

    def _names(self, keys: frozenset[str]) -> bool:
        return not keys.isdisjoint(key.removeprefix("slurm_") for key in self._parameters)

    def ended(self, handles: Sequence[Handle], seconds: float) -> Sequence[Handle]:
        """Ask for the states of jobs."""
        found = [job for job in handles if job.done()]
        if not found and handles:
            time.sleep(seconds)
            found = [job for job in handles if job.done()]
        return found

    def answer(self, handle: Handle) -> Answer:
        """Return what a job returned.

        Raises:
            LostError: if it ended without a result: killed, preempted or out of time.
        """
        try:
            answer: Answer = handle.result()
        except (UncompletedJobError, FailedJobError) as error:
            state = str(getattr(handle, "state", "")).lower()
            output = handle.paths.stderr
            more = "; raise timeout_min" if "timeout" in state else ""
            raise LostError(f"job {handle.job_id} ended as {state}{more}; see {output}") from error
        return answer

    def cancel(self, handle: Handle, *, force: bool) -> None:
        """Cancel a job; Slurm itself sends SIGTERM first, and later kills.

        Jobs on this machine get a SIGINT, which they ignore if this process does, as those in the
        background of a shell do.
        """
        if handle.done():
            return
        handle.cancel(check=False)
        if force and isinstance(handle, submitit.LocalJob):
            with suppress(psutil.NoSuchProcess):
                first = psutil.Process(int(handle.job_id))
                for process in [first, *first.children(recursive=True)]:
                    process.kill()

    def close(self) -> None:
        """Do nothing: the queue is everybody's."""
