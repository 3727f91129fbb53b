"""What tells whether two evaluations are the same, so that one may go on with the other's work."""

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import robench
from robench.base import Attack
from robench.evaluation.options import EvaluationOptions
from robench.evaluation.validation import as_floats
from robench.evaluation.victim import Victim
from robench.models.plain_state import plain_attributes
from robench.system.out_of_memory import is_of_machine
from robench.system.provenance import environment

FORMAT = 1
"""Version of the file; another one is not read."""

_FEW = 16
"""Number of images at which gradients are compared."""

_DISTANCE = 1e-3
"""How far apart gradients may be, relative to their norm: some GPU kernels add in any order."""


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What the outcomes of an evaluation depend on, apart from its attacks.

    Attributes:
        facts: name -> value, as text.
        gradient: the model's gradient at a few images: its code may change the gradient alone.
        device: the device to run on.
    """

    facts: dict[str, str]
    gradient: NDArray[np.float32]
    device: torch.device

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what a file must hold for :meth:`differs`."""
        return {"facts": np.array(json.dumps(self.facts)), "gradient": self.gradient}

    def differs(self, found: dict[str, NDArray[Any]]) -> str:
        """Return in what the evaluation with these arrays was another one; "" if it was not."""
        try:
            facts = dict(json.loads(str(found["facts"])))
            other = found["gradient"].astype(np.float32)
        except (KeyError, ValueError, TypeError):
            return "it does not say of which one"
        names = sorted(facts.keys() | self.facts)
        differing = [name for name in names if facts.get(name) != self.facts.get(name)]
        if not differing and not _near(other, self.gradient):
            differing = ["gradient of the model"]
        return f"these differ: {', '.join(differing)}" if differing else ""


def fingerprint(
    victim: Victim,
    images: Tensor,
    labels: Tensor,
    logits: Tensor,
    options: EvaluationOptions,
) -> Fingerprint:
    """Return what the outcomes of an evaluation depend on.

    Args:
        victim: the model under attack.
        images: (N, C, H, W) uint8, or float32 in [0, 1], on the CPU.
        labels: (N,) int64.
        logits: (N, classes), the model's predictions: they tell whether its code is the same.
        options: the settings of the evaluation.
    """
    before = _attributes(victim.module)
    gradient = _gradient(victim, as_floats(images[:_FEW]))
    kept = before & _attributes(victim.module)  # a count of calls tells nothing
    facts = {
        "format": str(FORMAT),
        "version of robench": _engine(),
        "class of the model": type(victim.module).__qualname__,
        "weights of the model": _weights(victim.module),
        "code of the model": _code_of(victim.module),
        "attributes of the model": hashlib.sha256(str(sorted(kept)).encode()).hexdigest(),
        "logits of the model": hash_of([logits]),
        "images": hash_of([images]),
        "labels": hash_of([labels]),
        "seed": str(options.seed),
        "batch size": str(options.batch_size),
        "shortcuts": " ".join(sorted(set(options.without))),
        "precision of gradients": victim.gradients,
        **environment(victim.device),
    }
    return Fingerprint(facts, gradient, victim.device)


def key_of(attacks: Sequence[Attack]) -> str:
    """Return a name for what these attacks do together: their options, and the code of each.

    The name of attacks without a source file, as those defined interactively, is always a new one.
    """
    described = [
        [
            type(attack).__qualname__,
            _value(vars(attack)),
            [_code(kind) for kind in type(attack).__mro__ if not _is_of_torch(kind)],
        ]
        for attack in attacks
    ]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:16]


def hash_of(tensors: Iterable[Tensor]) -> str:
    """Return a hash of types, shapes and contents."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _weights(model: nn.Module) -> str:
    state = model.state_dict()
    names = json.dumps(list(state))
    tensors = [value for value in state.values() if isinstance(value, Tensor)]
    return hashlib.sha256(f"{names} {hash_of(tensors)}".encode()).hexdigest()


def _gradient(victim: Victim, images: Tensor) -> NDArray[np.float32]:
    """Return the gradient of a sum of logits; nothing if the model has none."""
    x = images.to(victim.device).clone().requires_grad_(True)
    try:
        with torch.enable_grad():
            logits = victim(x.clone())
            weights = torch.linspace(1, 2, logits.shape[1], device=logits.device)
            (gradient,) = torch.autograd.grad((logits * weights).sum(), x)
    except Exception as error:  # whatever it is, an attack will say it
        if is_of_machine(error):
            raise  # what was kept is not another evaluation's
        return np.zeros(0, np.float32)
    return np.asarray(gradient.float().cpu().numpy())


def _near(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    if one.shape != other.shape:
        return False
    finite = np.isfinite(one)
    if not np.array_equal(finite, np.isfinite(other)):
        return False
    if not np.array_equal(one[~finite], other[~finite], equal_nan=True):
        return False
    distance = np.linalg.norm(one[finite] - other[finite])
    return bool(distance <= _DISTANCE * np.linalg.norm(other[finite]))


def _value(value: object) -> object:
    """Return a value as JSON can hold it; tensors by their contents."""
    if isinstance(value, Tensor):
        return hash_of([value])
    if isinstance(value, nn.Module):
        return [_weights(value), _code_of(value), sorted(_attributes(value))]
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.shape, hashlib.sha256(value.tobytes()).hexdigest()]
    if isinstance(value, dict):
        return {repr(key): _value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_value(item) for item in value]
    return repr(value)


def _attributes(model: nn.Module) -> set[tuple[str, str, str]]:
    """Return the numbers, flags and texts that a model's modules keep."""
    return {
        (path, name, repr(value))
        for path, module in model.named_modules()
        for name, value in plain_attributes(module).items()
        if isinstance(value, (bool, int, float, str))
    }


def _code_of(model: nn.Module) -> str:
    """Return a hash of the files that define a model's classes; of those without one, nothing."""
    kinds = {kind for module in model.modules() for kind in type(module).__mro__}
    files = {_file_of(kind) for kind in kinds if not _is_of_torch(kind)}
    return _hash_of_files(sorted(file for file in files if file is not None))


def _is_of_torch(kind: type) -> bool:
    """Return whether a class is of Python or torch, whose versions are facts of their own."""
    return kind.__module__.partition(".")[0] in ("builtins", "abc", "typing", "torch")


def _file_of(kind: type) -> Path | None:
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return Path(file) if file and Path(file).is_file() else None


def _code(kind: type) -> str:
    """Return a hash of the file that defines a class, and of those beside it that are loaded."""
    file = _file_of(kind)
    if file is None:
        return uuid4().hex
    own = str(file)
    loaded = [getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]
    folder = os.path.dirname(own)  # noqa: PTH120 - pathlib is slow for thousands of modules
    beside = {file for file in loaded if os.path.dirname(file) == folder}  # noqa: PTH120
    return _hash_of_files(Path(file) for file in sorted({own, *beside}) if file.endswith(".py"))


@cache
def _engine() -> str:
    """Return a hash of robench's own code."""
    return _hash_of_files(sorted(Path(robench.__file__).parent.rglob("*.py")))


def _hash_of_files(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
