"""Networks of RobustBench, through its own package: ``robustbench:DATASET/THREAT/NAME``.

The package downloads the files of its networks, which are written by ``torch.save``; torch is told
to read nothing from them but tensors, whatever else its environment says.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import platformdirs
from torch import nn

from robench.errors import UserError, did_you_mean, shortened
from robench.models.accept import reason

TENSORS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
"""The variable by which torch reads tensors only, even for callers that ask for more."""
ANYTHING = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
"""The variable that says the contrary; torch refuses both at once."""

ITS_ATTACKS, ON_PYPI = "autoattack", "pyautoattack"
"""The package that RobustBench 1.1.1 imports, and the same by the name that it has on PyPI."""

INSTALL = (
    "pip install robustbench, in an environment of its own (torchattacks installs an old copy of "
    "it, and it needs timm 1.0.9)"
)


def robustbench_network(what: str, *, pretrained: bool) -> nn.Module:
    """Return a network of RobustBench, images in [0, 1] -> logits; it normalizes by itself.

    Args:
        what: ``DATASET/THREAT/NAME``, as in ``cifar10/Linf/Carmon2019Unlabeled``.
        pretrained: load its weights, which are downloaded where they are not in the user's cache.

    Raises:
        UserError: if the package is not installed, has no such network, or cannot load it.
    """
    dataset, threat, name = _parts(what)
    entry = _entry(_zoo(), dataset, threat, name)
    try:
        if not pretrained:
            built: nn.Module = entry["model"]()
            return built
        with _with_its_attacks():
            from robustbench.utils import load_model
        # What it says of a download is no result.
        with _tensors_only(), redirect_stdout(sys.stderr):
            loaded: nn.Module = load_model(
                model_name=name,
                model_dir=platformdirs.user_cache_path("robench") / "robustbench",
                dataset=dataset,
                threat_model=threat,
            )
            return loaded
    except Exception as error:  # whatever its code and a download may raise
        raise UserError(
            f"robustbench:{what} cannot be loaded ({shortened(reason(error), 300)}); if its file "
            f"cannot be downloaded here, name one that you have with --checkpoint."
        ) from error


def _parts(what: str) -> tuple[str, str, str]:
    parts = what.split("/")
    if len(parts) != 3 or not all(parts):
        raise UserError(
            f"'robustbench:{what}' is not of the form robustbench:DATASET/THREAT/NAME, such as "
            f"robustbench:cifar10/Linf/Carmon2019Unlabeled."
        )
    return parts[0], parts[1], parts[2]


def _zoo() -> Mapping[Any, Mapping[Any, Mapping[str, Any]]]:
    try:
        with _with_its_attacks():
            from robustbench.model_zoo import model_dicts
    except Exception as error:  # the old copy needs packages that are no longer there
        raise UserError(f"RobustBench cannot be imported ({reason(error)}): {INSTALL}.") from error
    return model_dicts


@contextmanager
def _with_its_attacks() -> Iterator[None]:
    """Let the package of attacks that it imports be the one that it requires, meanwhile."""
    spec = find_spec(ITS_ATTACKS)
    there = spec is not None and spec.submodule_search_locations is not None  # not some script
    if there or find_spec(ON_PYPI) is None:
        yield
        return
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_of_attacks(name)}
    sys.modules[ITS_ATTACKS] = import_module(ON_PYPI)
    try:
        yield
    finally:
        for name in [name for name in sys.modules if _is_of_attacks(name)]:
            del sys.modules[name]
        sys.modules.update(before)


def _is_of_attacks(module: str) -> bool:
    return module.partition(".")[0] == ITS_ATTACKS


def _entry(zoo: Mapping[Any, Any], dataset: str, threat: str, name: str) -> Mapping[str, Any]:
    """Return the entry of a network: data sets and threat models are enumerations of words."""
    found: Any = zoo
    for wanted, kind in ((dataset, "data set"), (threat, "threat model"), (name, "network")):
        there = {str(getattr(key, "value", key)): value for key, value in found.items()}
        if wanted not in there:
            raise UserError(f"RobustBench has no {kind} '{wanted}'; {did_you_mean(wanted, there)}")
        found = there[wanted]
    entry: Mapping[str, Any] = found
    return entry


@contextmanager
def _tensors_only() -> Iterator[None]:
    before = {name: os.environ.pop(name, None) for name in (TENSORS_ONLY, ANYTHING)}
    os.environ[TENSORS_ONLY] = "1"
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
