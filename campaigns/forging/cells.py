"""Forgeries of whole cells and rows: left out, added, or one given out as another."""

import copy
import shutil
from collections.abc import Callable
from functools import partial

import numpy as np

from campaigns.forging.draft import Draft, Forgery

Change = Callable[[Draft, np.random.Generator], str | None]


def cell_forgeries() -> list[Forgery]:
    """Return the forgeries of cells, and of what several fields say together."""
    return [Forgery(label, partial(_labeled, label, change)) for label, change in _CHANGES.items()]


def _labeled(label: str, change: Change, draft: Draft, rng: np.random.Generator) -> str | None:
    draft.label = label
    return change(draft, rng)


def _removed(draft: Draft, rng: np.random.Generator) -> str:
    name = _any(draft, rng)
    draft.drop(name)
    return name


def _as_another(draft: Draft, rng: np.random.Generator) -> str | None:
    """Give out weights and outcomes of one cell as those of another."""
    trained = _trained(draft)
    name, other = (str(n) for n in rng.choice(trained, size=2, replace=False))
    for column, path in draft.outcomes(other).items():
        shutil.copy(path, draft.outcomes(name)[column])
    shutil.copy(draft.weights(other), draft.weights(name))
    document = draft.documents[name]
    for key in ("training", "checks", "spectra", "costs"):
        document[key] = copy.deepcopy(draft.documents[other][key])
    return f"{name} has everything of {other}"


def _added(draft: Draft, rng: np.random.Generator) -> str:
    """Add a row whose cells are copies of those of another row, under a title of its own."""
    board = draft.board["board"]
    row = board["defenses"][0]
    title = "groupnorm"
    for name in [m for m in draft.manifests if draft.documents[m]["row"] == row]:
        document = copy.deepcopy(draft.documents[name])
        document["row"], document["cell"]["defense"] = title, title
        copied, key = name.replace(row, title), rng.bytes(8).hex()
        shutil.copytree(draft.root / "outcomes" / draft.keys[name], draft.root / "outcomes" / key)
        weights = draft.weights(name)
        shutil.copy(weights, weights.with_name(f"{key}.safetensors"))
        draft.documents[copied], draft.keys[copied] = document, key
    board["defenses"].append(title)
    return f"the row {title} is a copy of {row}"


def _times(draft: Draft, rng: np.random.Generator) -> str:
    """Halve all times of a cell."""
    name = str(rng.choice(_trained(draft)))
    document = draft.documents[name]
    for row in document["training"]:
        row["seconds"] /= 2
        row["images_per_second"] *= 2
    manifest = document["manifest"]
    manifest["training_seconds"] = sum(row["seconds"] for row in document["training"])
    for entry in manifest["outcomes"].values():
        entry["seconds_of_group"] /= 2
    return f"{name}: half the time"


def _losses(draft: Draft, rng: np.random.Generator) -> str:
    """Make the training look better than it was, within what is possible."""
    name = str(rng.choice(_trained(draft)))
    for row in draft.documents[name]["training"]:
        row["train_loss"] = (row.get("train_loss") or 1.0) * 0.9
    return f"{name}: lower losses"


def _no_checks(draft: Draft, rng: np.random.Generator) -> str:
    for document in draft.manifests.values():
        document["checks"] = None
    draft.board["board"]["evaluation"]["checks"] = False
    return "no checks, and the board asks for none"


def _flags_gone(draft: Draft, rng: np.random.Generator) -> str | None:
    """Let all failed checks of the board pass."""
    count = 0
    for document in draft.manifests.values():
        for finding in document["checks"]["findings"]:
            if finding["passed"] is False:
                finding["passed"], count = True, count + 1
    return f"{count} flags are gone" if count else None


def _parameters(draft: Draft, rng: np.random.Generator) -> str:
    """Give a row fewer parameters, in all of its cells."""
    row = draft.documents[_any(draft, rng)]["row"]
    key = str(rng.choice(["parameters", "multiply_adds", "training_memory_mib"]))
    for document in draft.manifests.values():
        if document["row"] == row and document["costs"][key]:
            document["costs"][key] = type(document["costs"][key])(document["costs"][key] * 0.8)
    return f"{row}: less {key}"


def _any(draft: Draft, rng: np.random.Generator) -> str:
    names = list(draft.manifests)
    return names[rng.integers(len(names))]


def _trained(draft: Draft) -> list[str]:
    return [m for m, value in draft.manifests.items() if "architecture" not in value["cell"]]


_CHANGES: dict[str, Change] = {
    "cell: removed": _removed,
    "cell: of another": _as_another,
    "row: copied under another title": _added,
    "times: of a cell": _times,
    "training losses: of a cell": _losses,
    "checks: left out with the board's wish": _no_checks,
    "checks: all flags gone": _flags_gone,
    "costs: of a row": _parameters,
}
