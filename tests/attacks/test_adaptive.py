"""A defense ships the attack that knows how it works; boards run it where there is one."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support import TINY_BOARD, Command
from torch import Tensor, nn

from robench import ConvDefense, Defense, ThreatModel, UserError, apply_defense, evaluate
from robench.base import Attack
from robench.board.ranking import ADAPTIVE
from robench.evaluation.options import EvaluationOptions
from robench.leaderboard.page.adaptive import adaptive_facts
from robench.leaderboard.page.cells import cells_of_rows
from robench.leaderboard.published import Leaderboard
from robench.registry import attacks, defenses

EPS = 0.1


@dataclass(frozen=True)
class Attacked(ConvDefense):
    """Keeps every layer, and ships PGD against itself."""

    radius: float | None = None

    def adaptive_attack(self, threat_model: ThreatModel) -> Attack | None:
        norm, eps = threat_model
        return attacks.build("pgd-4", {"norm": norm, "eps": self.radius or eps, "step_size": 0.05})


@dataclass(frozen=True)
class Naming(ConvDefense):
    """Keeps every layer, and returns the name of an attack instead of one."""

    def adaptive_attack(self, threat_model: ThreatModel) -> Any:
        return "pgd"


def found_on(
    model: nn.Module, images: Tensor, labels: Tensor, *names: str
) -> dict[str, np.ndarray]:
    built = {name: attacks.build(name, {"eps": EPS, "step_size": 0.05}) for name in names}
    found = evaluate(model, images, labels, built, options=EvaluationOptions(seed=0)).attacks
    return {name: outcomes.robust for name, outcomes in found.items()}


def test_the_attack_of_the_model_s_defense_is_run(
    digits_net: nn.Module, digits_test: tuple[Tensor, Tensor]
) -> None:
    defended = nn.Sequential(apply_defense(digits_net, Attacked()).eval())
    found = found_on(defended, *digits_test, "adaptive", "pgd-4")
    assert (found["adaptive"] == found["pgd-4"]).all()
    assert not found["adaptive"].all()


def test_where_the_defense_has_none_the_images_stay_as_they_are(
    digits_net: nn.Module, digits_test: tuple[Tensor, Tensor]
) -> None:
    for model in (digits_net, apply_defense(digits_net, "batchnorm").eval()):
        built = {"adaptive": attacks.build("adaptive", {"eps": EPS})}
        outcomes = evaluate(model, *digits_test, built).attacks["adaptive"]
        assert (outcomes.robust == outcomes.correct).all()
        assert not outcomes.forwards.any()
        assert not outcomes.linf.any()


def test_what_is_no_attack_is_refused(
    digits_net: nn.Module, digits_test: tuple[Tensor, Tensor]
) -> None:
    defended = apply_defense(digits_net, Naming()).eval()
    with pytest.raises(UserError, match="adaptive_attack of the defense Naming returns a str"):
        found_on(defended, *digits_test, "adaptive")


def test_an_attack_in_another_ball_is_refused(
    digits_net: nn.Module, digits_test: tuple[Tensor, Tensor]
) -> None:
    defended = apply_defense(digits_net, Attacked(radius=0.3)).eval()
    with pytest.raises(UserError, match="the adaptive attack of the defense Attacked keeps to"):
        found_on(defended, *digits_test, "adaptive")


def test_a_board_runs_it_for_the_rows_that_have_one(
    robench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = type(defenses.build("batchnorm"))
    monkeypatch.setattr(own, "adaptive_attack", Attacked().adaptive_attack)
    text = TINY_BOARD.replace("epochs = 2", "epochs = 1").replace("samples = 60", "samples = 30")
    text = text.replace('["fgsm", "pgd-2", "pgd-4", "simba(samples=6, max_steps=8)"]',
                        '["noise", "adaptive"]')  # fmt: skip
    (tmp_path / "own.toml").write_text(text.replace('"pgd-4"', '"worst_case"'))
    done = robench("run", tmp_path / "own.toml", "--out", tmp_path)
    assert done.code == 0, done.err
    board = Leaderboard.read(tmp_path / "own")
    table = board.table.set_index("defense")
    assert table.loc["batchnorm", "adaptive_mean"] <= table.loc["batchnorm", "clean_mean"]
    assert pd.isna(table.loc["convnorm", "adaptive_mean"])
    for row, columns in (("batchnorm", ["noise", "adaptive"]), ("convnorm", ["noise"])):
        outcomes = next(cell for cell in board.cells if cell.row == row).outcomes
        worst = np.logical_and.reduce([outcomes[name].robust for name in columns]).mean()
        assert table.loc[row, "worst_case_mean"] == pytest.approx(worst, abs=1e-6)
    facts = {row: adaptive_facts(board, cells) for row, cells in cells_of_rows(board).items()}
    assert facts["batchnorm"] == [("Adaptive attack", "The defense ships one, PGD.")]
    assert facts["convnorm"] == [
        ("Adaptive attack", type(defenses.build("convnorm")).adaptive_note)
    ]
    checked = robench("verify", tmp_path / "own", "--store", tmp_path, "--rows", "all")
    assert checked.code == 0, checked.out
    assert checked.out.count(" adaptive ") == 1  # of the row that has one

    plain = board.board.evaluation.model_copy(update={"attacks": ("noise",)})
    other = replace(board, board=board.board.model_copy(update={"evaluation": plain}))
    [(_, text)] = adaptive_facts(other, cells_of_rows(board)["batchnorm"])
    assert text.endswith("this board does not run it.")
    shutil.rmtree(tmp_path / "own")


def test_it_ranks_no_board(tiny_board: Path, robench: Command) -> None:
    done = robench("run", tiny_board, "--set", f'evaluation.attacks=["pgd-2", "{ADAPTIVE}"]',
                   "--set", f'evaluation.rank_by="{ADAPTIVE}"')  # fmt: skip
    assert done.code == 2
    assert "is an attack that only some defenses have; rank by 'worst_case'" in done.err


def test_a_defense_has_none_and_says_nothing_unless_its_author_does() -> None:
    assert Defense().adaptive_attack(ThreatModel("linf", EPS)) is None
    assert Defense().adaptive_note == ""
