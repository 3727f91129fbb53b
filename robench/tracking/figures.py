"""What is logged of a cell: the epochs or steps of its log, its result, its checks."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from robench.runs.records import CellResult
from robench.tracking.tracker import Value

Points = list[tuple[int, dict[str, float]]]
"""Epoch or step -> figures, in order."""


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Value]:
    """Return a specification with dots in its names."""
    found: dict[str, Value] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        elif isinstance(value, Value):
            found[f"{prefix}{name}"] = value
        elif value is not None:
            found[f"{prefix}{name}"] = json.dumps(value)
    return found


def points_of(log: Path, step: str) -> Points:
    """Return what is in the log of a training; nothing if there is no log yet.

    Whatever process trains writes it whole each time.

    Args:
        log: the file.
        step: its column that counts.
    """
    try:
        table = pd.read_csv(log)
    except (FileNotFoundError, pd.errors.EmptyDataError):
        return []
    rows: list[dict[Any, Any]] = table.to_dict("records")
    return [(int(row.pop(step)), finite(row)) for row in rows]


def finite(figures: Mapping[Any, Any]) -> dict[str, float]:
    """Return the figures that are numbers."""
    numbers = {str(name): float(value) for name, value in figures.items()}
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
    return hash_of([result.digest, final_figures(result), words_on_checks(result)])


def hash_of(known: list[Any]) -> str:
    """Return the hash of values that JSON knows."""
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()
