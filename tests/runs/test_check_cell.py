"""The checks of a cell: run once, found again, and run anew if a plugin adds one."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import robench.registry as module
from robench.base import ThreatModel
from robench.board.cells import Cell
from robench.board.plan import build_attacks
from robench.board.specs import DataSpec, EvaluationSpec, ModelSpec, TrainingSpec
from robench.data import load_dataset
from robench.plugins import load_plugin
from robench.registry import checks
from robench.runs.check_cell import _identity, search_of, with_checks
from robench.runs.context import RunContext
from robench.runs.progress import NullReporter
from robench.runs.records import CellResult
from robench.runs.run import run_cell
from robench.runs.store import RunStore

DATASET = load_dataset("digits")

PLUGIN = '''
from dataclasses import dataclass
from robench import Check, CheckContext, Finding, register_check

@register_check("anything", reference="me")
@dataclass(frozen=True)
class Anything(Check):
    """Passes."""

    findings = ("anything",)

    def run(self, context: CheckContext) -> Finding:
        return Finding("anything", True, "{sentence}")
'''


@pytest.fixture(autouse=True)
def _undo_registrations() -> Iterator[None]:
    checks.discover()
    before, plugins = dict(checks._entries), set(module.plugin_files)
    yield
    checks._entries.clear()
    checks._entries.update(before)
    module.plugin_files.clear()
    module.plugin_files.update(plugins)


def context(root: Path, **evaluation: Any) -> RunContext:
    settings = {"attacks": ("fgsm(eps=0.1)",), "samples": 20, "check_samples": 10} | evaluation
    return RunContext(
        store=RunStore(root),
        dataset=DATASET,
        evaluation=EvaluationSpec.model_validate(settings),
        device=torch.device("cpu"),
        reporter=NullReporter(),
    )


def trained(ctx: RunContext) -> CellResult:
    cell = Cell(
        defense="batchnorm",
        data=DataSpec(name="digits"),
        data_hash=DATASET.fingerprint,
        model=ModelSpec(width=4),
        training=TrainingSpec(epochs=1, replays=1, eps=0.1, step_size=0.1),
        seed=0,
    )
    return run_cell(cell, "batchnorm", ctx)


def reports(root: Path) -> set[str]:
    return {path.stem for path in root.glob("*/checks/*.json")}


def names(cell: CellResult) -> list[str]:
    assert cell.evidence.checks is not None
    return [finding.check for finding in cell.evidence.checks.findings]


def test_a_report_is_computed_once_and_anew_with_a_check_of_a_plugin(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    cell = trained(ctx)
    first = with_checks("batchnorm", cell, None, ctx)
    stored = reports(tmp_path)
    assert len(stored) == 1

    def never(images: torch.Tensor) -> torch.Tensor:
        raise AssertionError("a stored report is not recomputed")

    broken = nn.Module()
    broken.forward = never  # type: ignore[method-assign]
    assert names(with_checks("batchnorm", cell, None, ctx, broken)) == names(first)

    plugin = tmp_path / "anything.py"
    plugin.write_text(PLUGIN.format(sentence="It is fine."))
    load_plugin(plugin)
    more = with_checks("batchnorm", cell, None, ctx)
    assert names(more) == [*names(first), "anything"]
    assert len(reports(tmp_path)) == 2
    before = reports(tmp_path)
    plugin.write_text(PLUGIN.format(sentence="It is quite fine."))
    load_plugin(plugin)
    with_checks("batchnorm", cell, None, ctx)
    assert len(reports(tmp_path) - before) == 1


CHANGED = (
    "gradients", "incomplete_optimization", "stateful", "unstable_gradient", "wrong_gradient",
)  # fmt: skip
"""The checks whose results have changed since they were first shipped: they are made again."""


def test_stored_reports_keep_their_names_unless_a_check_changes(tmp_path: Path) -> None:
    ctx = context(tmp_path, without=("pools", "folding"), binarization=True)
    result: Any = SimpleNamespace(digest="d")
    source: Any = SimpleNamespace(
        evidence=SimpleNamespace(manifest=SimpleNamespace(weights_hash="w"))
    )
    text = json.dumps(
        {
            "ball": ["linf", 0.1, 0.025],
            "binarization": True,
            "cell": "d",
            "samples": 10,
            "source": "w",
            "sources": {f"check {name}": checks.source_identity(name) for name in CHANGED},
            "version": 4,
            "without": ["folding", "pools"],
        }
    )
    identity = _identity(result, source, (ThreatModel("linf", 0.1), 0.025), ctx)
    assert identity == hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("attacks", "search"),
    [
        (("fgsm(eps=0.1)", "pgd-2(eps=0.2, step_size=0.1)"), (("linf", 0.2), 0.1)),
        (("fgsm(eps=0.1)", "simba"), (("linf", 0.1), 0.025)),
        (("simba",), None),
        ((), None),
    ],
)
def test_the_checks_search_what_the_ranking_attack_does(
    attacks: tuple[str, ...], search: object
) -> None:
    evaluation = EvaluationSpec(attacks=attacks)
    assert search_of(evaluation.ranking_column, build_attacks(evaluation)) == search


def test_no_checks_are_run_if_the_board_leaves_them_out(tmp_path: Path) -> None:
    ctx = context(tmp_path, checks=False)
    cell = trained(ctx)
    assert with_checks("batchnorm", cell, None, ctx) == cell
    assert not reports(tmp_path)
