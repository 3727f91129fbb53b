"""Forgeries of the outcomes: every array, and the columns of a cell together."""

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np

from campaigns.forging.draft import Draft, Forgery
from robench.evaluation import Outcomes

Arrays = dict[str, np.ndarray]
Change = Callable[[Arrays, np.random.Generator], str]
"""Changes the arrays of one file, and says how."""

NAMES = [f.name for f in fields(Outcomes)]
BOOLEAN, COUNTS = ("correct", "robust", "rounded"), ("queries", "forwards", "backwards")


def array_forgeries() -> list[Forgery]:
    """Return the forgeries of outcome files."""
    made = []
    for name in NAMES:
        for what, change in _OF_ONE.items():
            label = f"outcomes.{name}: {what}"
            made.append(Forgery(label, partial(_one_file, label, partial(change, name))))
        for what in ("of another column", "of another cell"):
            label = f"outcomes.{name}: {what}"
            made.append(Forgery(label, partial(_from_elsewhere, label, name)))
    for what, joint in _OF_ALL.items():
        label = f"outcomes: {what}"
        made.append(Forgery(label, partial(_one_file, label, joint)))
    for what in ("of another column", "of another cell"):
        label = f"outcomes: {what}"
        made.append(Forgery(label, partial(_from_elsewhere, label, "")))
    for what, everywhere in _EVERYWHERE.items():
        made.append(Forgery(f"outcomes: {what}", partial(_all_files, what, everywhere)))
    label = "outcomes: mistakes of a cell become right"
    made.append(Forgery(label, partial(_mistakes, label)))
    return made


def load(path: Path) -> Arrays:
    """Read an outcome file as plain arrays."""
    with np.load(path) as found:
        return {name: found[name].copy() for name in found.files}


def save(path: Path, arrays: Arrays) -> None:
    """Write arrays as robench does, whatever they are."""
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type] # arrays by name


def _element(name: str, count: int, arrays: Arrays, rng: np.random.Generator) -> str:
    values = arrays[name]
    chosen = rng.choice(len(values), size=min(count, len(values)), replace=False)
    for index in chosen:
        values[index] = _other(name, values[index], rng)
    return f"{name} of {count} images"


def _other(name: str, value: np.generic, rng: np.random.Generator) -> float | bool:
    if name in BOOLEAN:
        return not value
    if name in COUNTS:
        return [int(value) + 1, max(int(value) - 1, 0), 2 * int(value), 0][rng.integers(4)]
    return [float(value) * 0.9, float(value) * 1.1, 0.0, 0.05][rng.integers(4)]


def _length(name: str, arrays: Arrays, rng: np.random.Generator) -> str:
    arrays[name] = arrays[name][: int(rng.integers(1, len(arrays[name])))]
    return f"{name} has {len(arrays[name])} values"


def _order(name: str, arrays: Arrays, rng: np.random.Generator) -> str:
    arrays[name] = rng.permutation(arrays[name])
    return f"{name} in another order"


def _dtype(name: str, arrays: Arrays, rng: np.random.Generator) -> str:
    choices = ("int64", "float64", "float32", "int8", "uint8", "complex64")
    others = [c for c in choices if c != str(arrays[name].dtype)]
    arrays[name] = arrays[name].astype(others[rng.integers(len(others))])
    return f"{name} as {arrays[name].dtype}"


def _impossible(name: str, arrays: Arrays, rng: np.random.Generator) -> str:
    values = arrays[name]
    index = int(rng.integers(len(values)))
    if name in BOOLEAN:
        values[:] = name == "robust"
        return f"{name}: all {name == 'robust'}"
    values[index] = -1 if name in COUNTS else [np.nan, np.inf, -1.0, 0.7][rng.integers(4)]
    return f"{name}[{index}] = {values[index]}"


_OF_ONE: dict[str, Callable[[str, Arrays, np.random.Generator], str]] = {
    "one image": lambda name, arrays, rng: _element(name, 1, arrays, rng),
    "several images": lambda name, arrays, rng: _element(
        name, int(rng.integers(2, 10)), arrays, rng
    ),
    "length": _length,
    "order": _order,
    "dtype": _dtype,
    "impossible value": _impossible,
}


def _robust(count: int, arrays: Arrays, rng: np.random.Generator) -> str:
    """Turn fooled images to robust ones in every array, without a contradiction."""
    fooled = np.flatnonzero(arrays["correct"] & ~arrays["robust"])
    chosen = rng.choice(fooled, size=min(count, len(fooled)), replace=False)
    for name in ("robust", "rounded"):
        arrays[name][chosen] = True
    return f"{len(chosen)} fooled images are robust"


def _fooled(count: int, arrays: Arrays, rng: np.random.Generator) -> str:
    """Turn robust images to fooled ones: a rival is made worse."""
    robust = np.flatnonzero(arrays["robust"])
    chosen = rng.choice(robust, size=min(count, len(robust)), replace=False)
    for name in ("robust", "rounded"):
        arrays[name][chosen] = False
    return f"{len(chosen)} robust images are fooled"


_OF_ALL: dict[str, Change] = {
    "one fooled image is robust": partial(_robust, 1),
    "3 fooled images are robust": partial(_robust, 3),
    "9 fooled images are robust": partial(_robust, 9),
    "all fooled images are robust": partial(_robust, 10**6),
    "one robust image is fooled": partial(_fooled, 1),
    "9 robust images are fooled": partial(_fooled, 9),
}


def _cut(arrays: Arrays, rng: np.random.Generator) -> str:
    return _take(arrays, np.arange(len(arrays["robust"]) - int(rng.integers(1, 4))))


def _reversed(arrays: Arrays, rng: np.random.Generator) -> str:
    return _take(arrays, np.arange(len(arrays["robust"]))[::-1])


def _again(arrays: Arrays, rng: np.random.Generator) -> str:
    count = len(arrays["robust"])
    return _take(arrays, np.append(np.arange(count), np.flatnonzero(arrays["robust"])[:3]))


def _take(arrays: Arrays, chosen: np.ndarray) -> str:
    for name in arrays:
        arrays[name] = arrays[name][chosen]
    return f"{len(chosen)} images, from {chosen[0]} to {chosen[-1]}"


_EVERYWHERE: dict[str, Change] = {
    "samples left out of all files": _cut,
    "samples of all files in another order": _reversed,
    "samples repeated in all files": _again,
}
_OF_ALL |= {
    "samples left out of one file": _cut,
    "samples of one file in another order": _reversed,
    "samples repeated in one file": _again,
}


def _files(draft: Draft) -> list[tuple[str, str, Path]]:
    """Return (manifest, column, file) of all outcomes."""
    return [(m, c, path) for m in draft.manifests for c, path in draft.outcomes(m).items()]


def _one_file(label: str, change: Change, draft: Draft, rng: np.random.Generator) -> str:
    files = _files(draft)
    manifest, column, path = files[rng.integers(len(files))]
    arrays = load(path)
    detail = change(arrays, rng)
    save(path, arrays)
    draft.label = label
    return f"{manifest}, {column}: {detail}"


def _all_files(what: str, change: Change, draft: Draft, rng: np.random.Generator) -> str:
    state = rng.bit_generator.state
    for _, _, path in _files(draft):
        rng.bit_generator.state = state  # the same samples in each
        arrays = load(path)
        detail = change(arrays, rng)
        save(path, arrays)
    draft.label = f"outcomes: {what}"
    return f"{what}: {detail}"


def _from_elsewhere(label: str, name: str, draft: Draft, rng: np.random.Generator) -> str | None:
    """Take an array, or a whole file, from another column of the cell or from another cell."""
    files = _files(draft)
    manifest, column, path = files[rng.integers(len(files))]
    if label.endswith("column"):
        others = [f for f in files if f[0] == manifest and f[1] != column]
    else:
        others = [f for f in files if f[0] != manifest and f[1] == column]
    other = others[rng.integers(len(others))]
    arrays, taken = load(path), load(other[2])
    arrays |= taken if not name else {name: _fitted(taken[name], len(arrays[name]))}
    save(path, arrays)
    draft.label = label
    return f"{manifest}, {column}: {name or 'all arrays'} of {other[0]}, {other[1]}"


def _fitted(values: np.ndarray, count: int) -> np.ndarray:
    return np.resize(values, count)


def _mistakes(label: str, draft: Draft, rng: np.random.Generator) -> str | None:
    """Count images that are wrong when clean as right, in all columns of a cell."""
    manifests = list(draft.manifests)
    manifest = manifests[rng.integers(len(manifests))]
    files = draft.outcomes(manifest)
    wrong = np.flatnonzero(~load(files["clean"])["correct"])
    chosen = wrong[: int(rng.integers(1, 4))]
    for path in files.values():
        arrays = load(path)
        inside = chosen[chosen < len(arrays["correct"])]
        for name in BOOLEAN:
            arrays[name][inside] = True
        save(path, arrays)
    draft.label = label
    return f"{manifest}: {len(chosen)} images are right, in all {len(files)} columns"
