"""Per-sample outcomes of an attack, from which every figure is computed."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robench.errors import UserError
from robench.system.array_files import read_npz
from robench.system.files import write_bytes
from robench.system.reading import MIB, Refused

Bools = NDArray[np.bool_]
Counts = NDArray[np.int64]
Sizes = NDArray[np.float32]

LARGEST = 64 * MIB
"""Largest size in bytes of all arrays of a file: a million samples take 35 MB."""


@dataclass(frozen=True, eq=False, repr=False)
class Outcomes:
    """One attack on n samples; every attribute is an array of length n.

    Attributes:
        correct: the prediction on the clean image is right.
        robust: the prediction on the adversarial image is right too.
        rounded: the prediction on the adversarial image rounded to 8 bits per pixel is right; true
            for every robust sample.
        queries: model evaluations charged by the attack's own rule; 0 if not attacked.
        forwards: model evaluations actually made by the attack; 0 if not attacked.
        backwards: gradients taken by the attack; 0 if not attacked.
        linf: largest change of a pixel, images in [0, 1]; 0 if not attacked.
        l2: Euclidean length of the perturbation; 0 if not attacked.

    Clean mistakes are not attacked: ``correct`` says which samples were.
    """

    correct: Bools
    robust: Bools
    rounded: Bools
    queries: Counts
    forwards: Counts
    backwards: Counts
    linf: Sizes
    l2: Sizes

    def __len__(self) -> int:
        return len(self.correct)

    def __repr__(self) -> str:
        fooled, attacked = int(self.fooled.sum()), int(self.correct.sum())
        return (
            f"<Outcomes of {len(self)} samples: accuracy {self.accuracy:.1%}, {fooled} of "
            f"{attacked} attacked were fooled>"
        )

    @classmethod
    def without_attack(cls, correct: Bools) -> "Outcomes":
        """Return the outcomes of doing nothing: every correct sample is robust, at no cost."""
        none = np.zeros(len(correct))
        counts, sizes = none.astype(np.int64), none.astype(np.float32)
        same = (correct.copy(), correct.copy())
        return cls(correct, *same, counts, counts, counts, sizes, sizes)

    @classmethod
    def worst_of(cls, several: Sequence["Outcomes"]) -> "Outcomes":
        """Return the per-sample worst case: a sample is robust if it is under every attack.

        Costs are summed; sizes are those of the first attack that fooled the sample, else of the
        first attack. It has only the samples that all attacks were given.
        """
        count = min(len(o) for o in several)
        cut = [cls(**{f.name: getattr(o, f.name)[:count] for f in fields(cls)}) for o in several]
        robust = np.stack([o.robust for o in cut])
        first = robust.argmin(0)  # the first that fooled it, or the first of all
        picked = (first, np.arange(count))
        return cls(
            correct=cut[0].correct,
            robust=np.logical_and.reduce(robust),
            rounded=np.logical_and.reduce([o.rounded for o in cut]),
            queries=np.sum([o.queries for o in cut], axis=0),
            forwards=np.sum([o.forwards for o in cut], axis=0),
            backwards=np.sum([o.backwards for o in cut], axis=0),
            linf=np.stack([o.linf for o in cut])[picked],
            l2=np.stack([o.l2 for o in cut])[picked],
        )

    @property
    def accuracy(self) -> float:
        """Share of the samples classified correctly under attack; nan without samples."""
        return _mean(self.robust)

    @property
    def fooled(self) -> Bools:
        """The attacked samples on which the attack succeeded."""
        return self.correct & ~self.robust

    @property
    def success_rate(self) -> float:
        """Share of the attacked samples that were fooled; nan if none was attacked."""
        return _mean(self.fooled[self.correct])

    @property
    def survive_rounding(self) -> float:
        """Share of the successful images that still fool when rounded to 8 bits per pixel."""
        return _mean(~self.rounded[self.fooled])

    @property
    def mean_forwards(self) -> float:
        """Mean forwards over all attacked samples."""
        return _mean(self.forwards[self.correct])

    @property
    def mean_backwards(self) -> float:
        """Mean backwards over all attacked samples."""
        return _mean(self.backwards[self.correct])

    @property
    def mean_queries(self) -> float:
        """Mean queries over all attacked samples, failed attacks included."""
        return _mean(self.queries[self.correct])

    @property
    def mean_queries_of_successes(self) -> float:
        """Mean queries over the attacked samples that were fooled."""
        return _mean(self.queries[self.fooled])

    @property
    def median_queries_of_successes(self) -> float:
        """Median queries over the attacked samples that were fooled."""
        queries = self.queries[self.fooled]
        return float(np.median(queries)) if len(queries) else math.nan

    @property
    def median_l2(self) -> float:
        """Median Euclidean length of the successful perturbations; nan if none succeeded."""
        lengths = self.l2[self.fooled]
        return float(np.median(lengths)) if len(lengths) else math.nan

    def save(self, path: Path) -> None:
        """Write an ``.npz`` file; equal outcomes give equal bytes."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **{f.name: getattr(self, f.name) for f in fields(self)})
        write_bytes(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> "Outcomes":
        """Read what :meth:`save` wrote; nothing in the file is executed.

        Raises:
            UserError: if the file is missing or damaged, or an array is not of the type and shape
                that :meth:`save` writes.
        """
        names = [f.name for f in fields(cls)]
        try:
            found = read_npz(path, unpacked=LARGEST, names=names)
            values: dict[str, Any] = {name: found[name] for name in names}
        except (Refused, KeyError) as error:
            reason = error.reason if isinstance(error, Refused) else f"{error} is missing"
            raise UserError(
                f"the outcomes {path} are missing or damaged ({reason}); remove the file and run "
                f"the attack again."
            ) from error
        for name, array in values.items():
            if array.dtype != DTYPES[name] or array.ndim != 1:
                raise UserError(
                    f"the outcomes {path} are damaged: '{name}' is a {array.ndim}-dimensional "
                    f"array of {str(array.dtype)[:40]}, not a list of {DTYPES[name]}; remove the "
                    f"file and run the attack again."
                )
        if len({array.shape for array in values.values()}) != 1:
            raise UserError(f"the outcomes {path} are damaged: their columns differ in length.")
        return cls(**values)


DTYPES = {
    name: array.dtype
    for name, array in vars(Outcomes.without_attack(np.zeros(0, np.bool_))).items()
}
"""Attribute -> type of its values, also in files."""


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else math.nan


def relative_difference(one: Sizes, other: Sizes) -> Sizes:
    """Return the difference of each two sizes, relative to the larger one, (n,)."""
    largest = np.maximum(np.maximum(one, other), np.finfo(np.float32).tiny)
    return np.abs(one - other) / largest
