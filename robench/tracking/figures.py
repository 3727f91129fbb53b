"""What is logged of a cell: hyperparameters, the epochs of its log, its result, its checks."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from robench.board.cells import Cell
from robench.runs.records import CellResult
from robench.runs.store import CellFolder
from robench.runs.stored import read_manifest
from robench.system.provenance import code_version
from robench.tracking.tracker import Value

Epochs = list[tuple[int, dict[str, float]]]
"""Epoch -> figures, in order."""


def hyperparameters(cell: Cell, folder: CellFolder) -> dict[str, Value]:
    """Return the specification of a cell with dots in its names, and the commit that trained it."""
    trained = folder.manifest.exists() and not folder.diverged.exists()
    commit = read_manifest(folder).version if trained else code_version()
    return {**_flat("", cell.model_dump(mode="json")), "cell": cell.key, "commit": commit}


def _flat(prefix: str, values: Mapping[str, Any]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(f"{prefix}{name}.", value)
        elif isinstance(value, Value):
            found[f"{prefix}{name}"] = value
        elif value is not None:
            found[f"{prefix}{name}"] = json.dumps(value)
    return found


def epochs_of(folder: CellFolder) -> Epochs:
    """Return the epochs that are in the log of a cell; none if there is no log yet.

    The log is written whole after each epoch, by whatever process trains.
    """
    try:
        log = pd.read_csv(folder.log)
    except FileNotFoundError:
        return []
    rows: list[dict[Any, Any]] = log.to_dict("records")
    return [(int(row["epoch"]), finite(row)) for row in rows]


def finite(figures: Mapping[Any, Any]) -> dict[str, float]:
    """Return the figures that are numbers, without the epoch, which is the step."""
    numbers = {str(name): float(value) for name, value in figures.items() if name != "epoch"}
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def final_figures(result: CellResult) -> dict[str, float]:
    """Return the accuracy of each column, and for each check 1 if it passed and 0 if it failed."""
    accuracies = {
        f"accuracy/{name}": outcomes.accuracy for name, outcomes in result.outcomes.items()
    }
    report = result.evidence.checks
    findings = report.findings if report else ()
    checks = {f"check/{f.check}": float(f.passed) for f in findings if f.passed is not None}
    return finite(accuracies | checks)


def words_on_checks(result: CellResult) -> str:
    """Return the findings as a list in Markdown; empty if there were no checks."""
    report = result.evidence.checks
    words = {True: "passed", False: "**flagged**", None: "inconclusive"}
    findings = report.findings if report else ()
    return "\n".join(f"- {f.check}: {words[f.passed]}. {f.sentence}" for f in findings)


def digest_of(result: CellResult) -> str:
    """Return a hash of all that is logged of a result."""
    known = [result.digest, final_figures(result), words_on_checks(result)]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()
