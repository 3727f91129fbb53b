"""The networks that models of the zoo are made of, each trained once and kept on disk.

They are kept in ``$ROBENCH_ZOO``, or in the user's cache. A network is trained again if its recipe
or the code that trains it has changed.
"""

import hashlib
import inspect
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from filelock import FileLock
from torch import nn

from robench import DataSet, Images, build_model, load_dataset, normal_form, train
from robench.registry import defenses
from robench.system.files import write_bytes
from robench.training import loop
from zoo.entry import THREAT_MODEL

VERSION = 1
"""Part of every recipe; raised when the same recipe gives another network."""

COMMON: dict[str, Any] = {
    "width": 8,
    "lr": 0.05,
    "eps": THREAT_MODEL.eps,
    "step_size": THREAT_MODEL.eps,
    "schedule": "one-cycle",
}
RECIPES: dict[str, dict[str, Any]] = {
    "standard": {"method": "standard", "epochs": 4},
    "standard_1": {"method": "standard", "epochs": 4, "seed": 1},
    "standard_2": {"method": "standard", "epochs": 4, "seed": 2},
    "free": {"epochs": 4},
}
"""Keyword arguments of :func:`trained`, by the name of the network."""

Fit = Callable[..., nn.Module]
"""(network with fresh weights, **options) -> the trained network."""


def folder() -> Path:
    """Return the folder of the trained networks: ``$ROBENCH_ZOO``, else one in the user's cache."""
    return Path(os.environ.get("ROBENCH_ZOO", "~/.cache/robench/zoo")).expanduser()


@cache
def network(name: str) -> nn.Module:
    """Return a trained network in eval mode, the same one at each call: wrap it, do not change it.

    Args:
        name: a key of :data:`RECIPES`.
    """
    return trained(name, **RECIPES[name])


def trained(
    name: str, *, defense: str = "batchnorm", classes: Sequence[int] = range(10), **recipe: Any
) -> nn.Module:
    """Return a ResNet-18 that :func:`robench.train` has trained, a new copy at each call.

    Args:
        name: the name of its file.
        defense: an entry expression.
        classes: the digits that it tells apart.
        recipe: other keyword arguments of :func:`robench.train`, in place of :data:`COMMON`.
    """
    options = {**COMMON, **recipe, "defense": defense, "classes": list(classes)}
    source = defenses.get(defense.partition("(")[0]).source
    make = partial(_built, defense=defense, classes=tuple(classes), width=options["width"])
    return kept(name, make, _train, source=source, options=options)


def kept(name: str, make: Callable[[], nn.Module], fit: Fit, **options: Any) -> nn.Module:
    """Return ``fit(make(), **options)`` in eval mode, from disk if it was trained before.

    The files in which ``make`` and ``fit`` are defined are part of the recipe, except for their
    comments and docstrings.

    Args:
        name: the name of its file.
        make: returns the network with fresh weights, drawn from torch's global generator.
        fit: trains it; the weights that it returns are those of ``make``'s network.
        options: JSON values.
    """
    key = _recipe_hash(make, fit, options)
    file = folder() / f"{name}.safetensors"
    folder().mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]), FileLock(folder() / f".{name}.lock"):
        if _recipe_of(file) != key:
            torch.manual_seed(0)
            state = fit(make(), **options).state_dict()
            values = {k: v.detach().cpu().contiguous().clone() for k, v in state.items()}
            write_bytes(file, safetensors.torch.save(values, {"recipe": key}))
        torch.manual_seed(0)
        model = make()
        model.load_state_dict(safetensors.torch.load_file(file))
    return model.eval()


def digits(classes: Sequence[int] = range(10)) -> DataSet:
    """Return mnist5k, or some of its digits, each labeled by its place in ``classes``."""
    whole = _mnist5k()
    if list(classes) == list(range(10)):
        return whole
    assert isinstance(whole.train, Images)
    assert isinstance(whole.test, Images)
    return replace(
        whole,
        train=_only(whole.train, classes),
        test=_only(whole.test, classes),
        classes=tuple(whole.classes[digit] for digit in classes),
    )


@cache
def _mnist5k() -> DataSet:
    return load_dataset("mnist5k")


def _only(images: Images, classes: Sequence[int]) -> Images:
    place = torch.full((10,), -1)
    place[list(classes)] = torch.arange(len(classes))
    labels = place[images.labels]
    rows = (labels >= 0).nonzero().squeeze(1)
    return Images(images.images[rows], labels[rows])


def _built(defense: str, classes: Sequence[int], width: int) -> nn.Module:
    data = digits(classes)
    return build_model(
        "resnet18",
        num_classes=data.num_classes,
        in_channels=data.in_channels,
        image_size=data.image_size,
        mean=data.mean,
        std=data.std,
        width=width,
        stem="half",
        defense=defense,
    )


def _train(_: nn.Module, *, source: str, options: dict[str, Any]) -> nn.Module:
    """Train a network like the given one; ``source`` only tells one recipe from another."""
    recipe = {k: v for k, v in options.items() if k not in ("defense", "classes")}
    return train(options["defense"], digits(options["classes"]), **recipe)


def _recipe_hash(make: Callable[[], nn.Module], fit: Fit, options: dict[str, Any]) -> str:
    files = {Path(loop.__file__), *(_file_of(f) for f in (make, fit) if _file_of(f) != _THIS)}
    sources = sorted(_source_of(file) for file in files)
    made = {"version": VERSION, "options": options, "sources": sources, "make": _name_of(make),
            "fit": _name_of(fit)}  # fmt: skip
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()


def _source_of(file: Path) -> str:
    source = file.read_bytes()
    tree = normal_form.parse(source)
    return hashlib.sha256(source).hexdigest() if tree is None else normal_form.hash_of(tree)


def _file_of(function: Callable[..., Any]) -> Path:
    inner = function.func if isinstance(function, partial) else function
    return Path(inspect.getfile(inner)).resolve()


def _name_of(value: Any) -> str:
    """Return the name of a function, with the arguments that are bound to it."""
    if isinstance(value, partial):
        values = [*value.args, *(v for pair in sorted(value.keywords.items()) for v in pair)]
        return f"{_name_of(value.func)}({', '.join(map(_name_of, values))})"
    return value.__qualname__ if callable(value) else repr(value)


def _recipe_of(file: Path) -> str | None:
    """Return the recipe of the weights in a file; None if there is no whole one."""
    try:
        with safetensors.safe_open(file, framework="pt") as weights:
            return (weights.metadata() or {}).get("recipe")
    except (OSError, safetensors.SafetensorError):
        return None


_THIS = Path(__file__).resolve()
"""Its recipes count one by one, and its code by :data:`VERSION`."""
