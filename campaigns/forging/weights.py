"""Forgeries of the weights: tensors and the description of the network."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch

from campaigns.forging.draft import Draft, Forgery
from robench.models.checkpoint import METADATA_KEY

CHANGES = ("one value", "a tensor scaled", "a tensor removed", "a tensor renamed", "dtype",
           "of another cell", "a tensor of another cell")  # fmt: skip


def weight_forgeries() -> list[Forgery]:
    """Return the forgeries of weights files."""
    made = []
    for what in CHANGES:
        label = f"weights: {what}"
        made.append(Forgery(label, partial(_tensors, label)))
    made.append(Forgery("weights: a value of the header", _header))
    made.append(Forgery("weights: file removed", _removed))
    return made


def read_weights(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any] | None]:
    """Return tensors and header of a weights file; no header if it is a third-party network's."""
    with safetensors.safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
    text = metadata.get(METADATA_KEY)
    return tensors, None if text is None else json.loads(text)


def write_weights(
    path: Path, tensors: dict[str, torch.Tensor], header: dict[str, Any] | None
) -> None:
    """Write a weights file as robench does."""
    metadata = None if header is None else {METADATA_KEY: json.dumps(header, sort_keys=True)}
    path.write_bytes(safetensors.torch.save(tensors, metadata))


def _tensors(label: str, draft: Draft, rng: np.random.Generator) -> str | None:
    manifests = list(draft.manifests)
    name = manifests[rng.integers(len(manifests))]
    others = [m for m in manifests if m != name and _alike(draft, m, name)]
    tensors, header = read_weights(draft.weights(name))
    keys = [key for key, value in tensors.items() if value.is_floating_point()]
    key = keys[rng.integers(len(keys))]
    what = label.removeprefix("weights: ")
    if what == "one value":
        index = int(rng.integers(tensors[key].numel()))
        tensors[key].view(-1)[index] += 1.0
    elif what == "a tensor scaled":
        tensors[key] = tensors[key] * 1.5
    elif what == "a tensor removed":
        del tensors[key]
    elif what == "a tensor renamed":
        tensors[f"{key}_2"] = tensors.pop(key)
    elif what == "dtype":
        tensors[key] = tensors[key].half()
    elif not others:
        return None
    else:
        taken, _ = read_weights(draft.weights(others[rng.integers(len(others))]))
        tensors |= {k: v for k, v in taken.items() if what == "of another cell" or k == key}
    write_weights(draft.weights(name), tensors, header)
    draft.label = label
    return f"{name}: {what} ({key})"


def _alike(draft: Draft, one: str, other: str) -> bool:
    shapes = [
        {key: value.shape for key, value in read_weights(draft.weights(name))[0].items()}
        for name in (one, other)
    ]
    return shapes[0] == shapes[1]


def _header(draft: Draft, rng: np.random.Generator) -> str | None:
    manifests = [m for m, value in draft.manifests.items() if "architecture" not in value["cell"]]
    name = manifests[rng.integers(len(manifests))]
    tensors, header = read_weights(draft.weights(name))
    assert header is not None
    keys = sorted(key for key, value in header.items() if not isinstance(value, dict))
    key = keys[rng.integers(len(keys))]
    old = header[key]
    if isinstance(old, str):
        header[key] = "convnorm" if key == "defense" and old != "convnorm" else f"{old}_2"
    elif isinstance(old, list):
        header[key] = [value * 2 for value in old]
    else:
        header[key] = old + 1
    write_weights(draft.weights(name), tensors, header)
    draft.label = "weights: a value of the header"
    return f"{name}: {key} {old} -> {header[key]}"


def _removed(draft: Draft, rng: np.random.Generator) -> str:
    manifests = list(draft.manifests)
    name = manifests[rng.integers(len(manifests))]
    draft.weights(name).unlink()
    draft.label = "weights: file removed"
    return f"{name}: no weights"
