"""The file that keeps what an evaluation has done, so that an interrupted one goes on there.

It is an ``.npz`` file without pickles, written whole, at most every :data:`SAVE_SECONDS`. It holds
the fingerprint of the evaluation and, for each group of attacks, the outcomes of the samples that
are finished and the state of the searches that are not. Samples are attacked in the batches in
which they would have been, batch sizes that were halved included, with the states of generators as
they were: results are the same to the bit although a device may round differently in other batches.
"""

import io
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robench.base import Attack
from robench.errors import RobenchWarning, UserError
from robench.evaluation.fingerprint import Fingerprint, fingerprint, key_of
from robench.evaluation.options import EvaluationOptions
from robench.evaluation.victim import Victim
from robench.system.array_files import read_npz
from robench.system.files import cannot_write, write_bytes
from robench.system.provenance import peak_memory_mib
from robench.system.reading import Refused, is_transient

SAVE_SECONDS = 30.0
"""Least time between two writes."""

SHARE = 0.02
"""Largest share of the time that may go into writing: large files are written less often."""

_MEMBERS = 100_000
"""Largest number of arrays in a file: a few for each attack and each sample under search."""

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Earlier:
    """What earlier sessions of an evaluation have spent.

    Attributes:
        seconds: the time that they took, up to what they kept.
        peak_memory_mib: the largest of their peaks.
    """

    seconds: float = 0.0
    peak_memory_mib: int = 0


class PartialFile:
    """The file of one evaluation; without a path, nothing is kept."""

    def __init__(self, path: Path | None, own: Fingerprint | None) -> None:
        """Read what an interrupted evaluation has kept, unless it was another evaluation.

        Args:
            path: the file; it need not exist.
            own: the fingerprint of this evaluation; None without a path.

        Raises:
            UserError: if the path is a folder.
        """
        self.path = path
        self.arrays: Arrays = {}
        self.earlier = Earlier()
        self._device = torch.device("cpu")
        self._start = self._written = time.monotonic()
        self._pause = SAVE_SECONDS
        if path is None or own is None:
            return
        if path.is_dir():
            raise UserError(f"{path} is a folder; name a file to keep what is done in.")
        self._device = own.device
        self.arrays = own.arrays()
        if path.exists() and (found := _read(path)) is not None:
            if reason := own.differs(found):
                _say(f"{path} is of another evaluation ({reason}); it is not used")
            else:
                self.arrays |= found
        self.earlier = Earlier(
            float(self.arrays.get("seconds", 0)), int(self.arrays.get("peak_memory_mib", 0))
        )

    @property
    def is_due(self) -> bool:
        """Whether it is time to write it."""
        return self.path is not None and time.monotonic() - self._written >= self._pause

    def forget(self, prefix: str) -> None:
        """Drop the arrays whose names start with ``prefix``."""
        for name in [name for name in self.arrays if name.startswith(prefix)]:
            del self.arrays[name]

    def write(self) -> None:
        """Write the file; if that fails, say so and keep nothing from then on."""
        if self.path is None:
            return
        start = time.monotonic()
        peak = max(self.earlier.peak_memory_mib, peak_memory_mib(self._device))
        self.arrays["seconds"] = np.array(self.earlier.seconds + start - self._start)
        self.arrays["peak_memory_mib"] = np.array(peak)
        buffer = io.BytesIO()
        np.savez(buffer, **self.arrays)  # type: ignore[arg-type]
        try:
            write_bytes(self.path, buffer.getvalue())
        except UserError as error:
            _say(f"what is done is not kept any longer: {error}")
            self.path = None
        self._written = time.monotonic()
        self._pause = max(SAVE_SECONDS, (self._written - start) / SHARE)

    def close(self) -> None:
        """Write the file a last time, unless the evaluation was too short for a file."""
        if self.path is not None and (self.is_due or self.path.exists()):
            self.write()


def open_partial(
    victim: Victim,
    images: Tensor,
    labels: Tensor,
    logits: Tensor,
    groups: Sequence[Mapping[str, Attack]],
    options: EvaluationOptions,
) -> tuple[PartialFile, list[str]]:
    """Return the file that the options name, and the name in it of each group of attacks.

    Args:
        victim: the model under attack.
        images: (N, C, H, W) uint8, or float32 in [0, 1], on the CPU.
        labels: (N,) int64.
        logits: (N, classes), the model's predictions.
        groups: name -> attack of each.
        options: the settings of the evaluation.
    """
    if options.resume is None:
        return PartialFile(None, None), [""] * len(groups)
    names = [key_of(list(group.values())) for group in groups]
    keys = [f"{name}.{names[:i].count(name)}" for i, name in enumerate(names)]
    own = fingerprint(victim, images, labels, logits, options)
    return PartialFile(Path(options.resume), own), keys


def remove(path: Path) -> None:
    """Remove a partial file, and what a process that was killed while writing it has left.

    Raises:
        UserError: if it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
        for left in path.parent.glob(f".{path.name}.*"):
            left.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(cannot_write(path, error)) from error


def put(arrays: Arrays, prefix: str, tensors: Mapping[str, Tensor]) -> None:
    """Add copies of the tensors to the arrays, under names with this prefix."""
    for name, tensor in tensors.items():
        arrays[prefix + name] = _plain(tensor.detach()).cpu().numpy().copy()


def take(arrays: Arrays, prefix: str, tensors: Mapping[str, Tensor]) -> bool:
    """Overwrite the tensors with what :func:`put` added, if all of it is there and fits."""
    found = {}
    plain = {name: _plain(tensor) for name, tensor in tensors.items()}
    for name, tensor in plain.items():
        array = arrays.get(prefix + name)
        if array is None or array.shape != tuple(tensor.shape):
            return False
        found[name] = torch.from_numpy(array)
        if found[name].dtype != tensor.dtype:
            return False
    for name, tensor in plain.items():
        tensor.copy_(found[name])
    return True


def _plain(tensor: Tensor) -> Tensor:
    """Return a view of a type that NumPy has."""
    return tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor


def _read(path: Path) -> Arrays | None:
    try:
        return read_npz(path, unpacked=path.stat().st_size, members=_MEMBERS)
    except (OSError, Refused) as error:
        if is_transient(error):
            raise  # what was kept may be there for the next try
        reason = error.reason if isinstance(error, Refused) else error.strerror
        _say(f"{path} is damaged ({reason}); it is not used")
        return None


def _say(text: str) -> None:
    warnings.warn(text, RobenchWarning, stacklevel=3)
