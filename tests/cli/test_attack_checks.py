"""``robench attack --checks``: can the accuracies of your own model be trusted?"""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from support import Command, Finished
from torch import nn

from robench.base import ThreatModel
from robench.checks import Finding, Report
from robench.cli.tables.checks import check_lines
from robench.commands.attack_checks import CheckedTarget, Stopwatch
from robench.progress import Progress, ignore_progress
from robench.system.out_of_memory import OUT_OF_MEMORY

Attack = Callable[..., Finished]
"""Attacks a network of ``net.py`` with further arguments."""

MODEL = """
from torch import nn

class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = build()
    def forward(self, images):
        return 1e6 * self.net(images)

def build():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 16, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10),
    )
"""


@pytest.fixture
def attack(
    robench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits_net: nn.Module
) -> Attack:
    """Attack the network of a function of ``net.py``; the table is in ``t.csv``."""
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(MODEL)
    torch.save(digits_net.state_dict(), "net.pt")

    def run(name: str, *arguments: object) -> Finished:
        common = ("--data", "digits", "--samples", 40, "--mean", 0.5, "--std", 0.5)
        done = robench("attack", "--model", f"net.py:{name}", "--checkpoint", "net.pt", *common,
                       *arguments, "--out", "t.csv")  # fmt: skip
        assert done.code == 0, done.err
        return done

    return run


def test_the_figures_of_attacks_stand_where_memory_is_too_small_for_the_checks(
    attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object, **options: object) -> Report:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("robench.commands.attack_checks.check_model", fail)
    done = attack("build", "--eps", 0.1, "--attacks", "pgd-20", "--checks")
    assert OUT_OF_MEMORY in done.out
    assert 0 < pd.read_csv("t.csv")["accuracy"].iloc[-1] < 1


def test_a_model_of_your_own_is_checked_and_its_flags_are_said(attack: Attack) -> None:
    done = attack("Scaled", "--eps", 0.1, "--attacks", "pgd-20")
    lines = done.out.splitlines()
    [summary] = [line for line in lines if line.startswith("checks at Linf 0.1 on 40 of 40 images")]
    assert " failed, " in summary
    assert "could not be judged (transfer" in summary
    assert "PGD-20 on 40 images" in summary
    [sentence] = [line for line in lines if line.startswith("  saturated_loss: On ")]
    assert "the gradient of the cross-entropy vanishes in float32" in sentence
    assert "A flag is a question, not a conclusion." in done.out
    assert all("saturated_loss" in flags.split() for flags in pd.read_csv("t.csv")["flags"])


def test_checks_can_be_left_out(attack: Attack) -> None:
    done = attack("build", "--eps", 0.1, "--attacks", "fgsm", "--no-checks")
    assert "checks" not in done.out
    assert "flags" not in pd.read_csv("t.csv")


def test_what_cannot_be_checked_is_one_sentence(attack: Attack) -> None:
    done = attack("build", "--attacks", "simba(max_steps=2)")
    [line] = [line for line in done.out.splitlines() if "checks" in line]
    assert line == "the checks could not be made: none of the attacks has a threat model."
    assert "flags" not in pd.read_csv("t.csv")


FAILED = Finding("black_box", False, "Square fools 9 of 20.", best_effort=0.25)
PASSED = Finding("eps_curve", True, "It falls.", best_effort=0.2)
LEFT = Finding("transfer", None, "None was given.")


def checked(*findings: Finding) -> CheckedTarget:
    return CheckedTarget(100, ThreatModel("linf", 8 / 255), Report(20, findings), 2.5, 1.25)


def test_a_flag_has_its_sentence_and_its_best_effort() -> None:
    assert list(check_lines(checked(FAILED, PASSED, LEFT))) == [
        "checks at Linf 8/255 on 20 of 100 images: 1 failed, 1 passed, 1 could not be judged "
        "(transfer); they took 2.5 s, PGD-20 on 100 images 1.2 s.",
        "  black_box: Square fools 9 of 20. Best effort: 25.0% of 20 images stay right.",
        "  All attacks and searches together leave 20.0% of these 20 images right.",
        "  A flag is a question, not a conclusion.",
    ]


def test_without_a_flag_there_is_a_summary_only() -> None:
    [line] = check_lines(checked(PASSED), "batchnorm")
    assert line == (
        "batchnorm: checks at Linf 8/255 on 20 of 100 images: 0 failed, 1 passed; they took 2.5 s, "
        "PGD-20 on 100 images 1.2 s."
    )


def test_the_table_gets_the_flags_and_the_best_effort_of_a_flagged_network() -> None:
    table = pd.DataFrame({"attack": ["clean", "fgsm"]})
    flagged = checked(FAILED, PASSED).beside(table)
    assert list(flagged["flags"]) == ["black_box", "black_box"]
    assert list(flagged["best_effort"]) == [0.2, 0.2]
    assert list(checked(PASSED).beside(table)) == ["attack", "flags"]
    assert list(CheckedTarget(100, refused="no.").beside(table)) == ["attack"]


def test_the_time_of_an_attack_is_that_of_the_group_which_shares_its_search() -> None:
    watch = Stopwatch(ignore_progress)
    for done in (0, 5, 9):
        watch.update(Progress("pgd-10, pgd-20", done, 9, "images"))
    watch.update(Progress("fgsm", 4, 9, "images"))  # begun by an earlier session
    assert watch.of("pgd-20") == watch.of("pgd-10")
    assert watch.of("fgsm") is None
    assert watch.of("noise") is None
