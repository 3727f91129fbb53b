"""What was changed is computed again, with what depends on it; what was not is found again."""

import shutil
from importlib.metadata import version
from pathlib import Path

import pytest
from support import TWO_ATTACKS, Command, shared_folder

from robench.board.specs import EvaluationSpec
from robench.leaderboard.audit import audit
from robench.leaderboard.audit.notes import audit_notes
from robench.leaderboard.published import Leaderboard
from robench.registry import REGISTRIES, attacks
from robench.runs.identity import column_key, library_of
from robench.system import provenance

LIBRARY_BOARD = TWO_ATTACKS.replace("pgd-4", "torchattacks:FGSM").replace(
    '"digits"', '"digits"\nsubset = 0.1'
)

ENTRIES = {
    "defense": """
from dataclasses import dataclass
import sys
from pathlib import Path
from robench import Defense, register_defense

sys.path.insert(0, str(Path(__file__).parent))
from a_neighbor import SCALE
sys.path.pop(0)

@register_defense("own_defense", reference="me")
@dataclass(frozen=True)
class OwnDefense(Defense):
    '''Scale the weights after each step.'''

    def after_step(self, model):
        for weight in model.parameters():
            weight.data.mul_(SCALE)
""",
    "backbone": """
from torch import nn
from robench import register_backbone

@register_backbone("own_backbone", reference="me")
def own_backbone(num_classes, in_channels, width, stem):
    '''One convolution.'''
    head = (nn.ReLU(), nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(4 * width, num_classes))
    return nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), *head)
""",
    "data": """
import torch
from robench import DataSet, Images, register_dataset

@register_dataset("own_data", reference="me")
def own_data(data_dir):
    '''Images with a bright left or right half.'''
    labels = torch.arange(80) % 2
    images = torch.randint(0, 100, (80, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    images[labels == 0, :, :, :4] += 150
    images[labels == 1, :, :, 4:] += 150
    images = Images(images.to(torch.uint8), labels)
    return DataSet("own_data", images, images, ("left", "right"), (0.5,), (1.0,))
""",
    "method": """
from dataclasses import dataclass
from robench.training.methods.standard import StandardTraining
from robench import register_training_method

@register_training_method("own_method", reference="me")
@dataclass(frozen=True)
class OwnMethod(StandardTraining):
    '''Standard training.'''
""",
    "attack": """
from dataclasses import dataclass
from robench import Adversarial, Attack, register_attack

@register_attack("own_attack", reference="me")
@dataclass(frozen=True)
class OwnAttack(Attack):
    '''Brighten.'''
    eps: float = 0.1

    def perturb(self, model, images, labels, rngs):
        return Adversarial((images + self.eps * 1.0).clamp(0, 1))
""",
    "check": """
from dataclasses import dataclass
from robench import Check, Finding, register_check

@register_check("own_check", reference="me")
@dataclass(frozen=True)
class OwnCheck(Check):
    '''Passes.'''
    findings = ("own_check",)

    def run(self, context):
        return Finding("own_check", True, f"It is fine: {1.0}.")
""",
}
NEIGHBOR = "SCALE = 1.0\n"
BOARD = """
title = "own"
defenses = ["own_defense"]
seeds = [0]

[data]
name = "own_data"

[model]
name = "own_backbone"
width = 4

[training]
method = "own_method"
epochs = 1
batch_size = 20

[evaluation]
attacks = ["own_attack", "fgsm(eps=0.1)"]
samples = 20
check_samples = 10
rank_by = "own_attack"
"""
STAGES = ("training", "attacking", "checking")


def run(robench: Command, folder: Path, *options: str) -> set[str]:
    """Run the board of a folder with the plugins beside it, and return the stages of the run."""
    named = [part for kind in ENTRIES for part in ("--plugin", folder / f"own_{kind}.py")]
    done = robench("run", folder / "own.toml", *named, "--out", folder / "out", *options)
    assert done.code == 0, done.err
    return {stage for stage in STAGES if f": {stage}" in done.out}


@pytest.fixture
def own(robench: Command, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a board and its plugins, after a run; a copy for each test."""
    with shared_folder("own_entries", tmp_path_factory) as (root, is_new):
        if is_new:
            root.mkdir(exist_ok=True)
            for kind, text in ENTRIES.items():
                (root / f"own_{kind}.py").write_text(text)
            (root / "a_neighbor.py").write_text(NEIGHBOR)
            (root / "own.toml").write_text(BOARD)
            assert run(robench, root) == set(STAGES)
    for registry in REGISTRIES:
        for path in root.glob("*.py"):
            registry.forget(path.resolve())
    shutil.copytree(root, tmp_path / "own")
    return tmp_path / "own"


def test_unchanged_code_finds_all_results_again(robench: Command, own: Path) -> None:
    assert run(robench, own) == set()


def test_comments_docstrings_and_layout_change_nothing(robench: Command, own: Path) -> None:
    for path in own.glob("*.py"):
        text = path.read_text().replace(" '''", " '''Really: ").replace(" = ", "  =  ")
        path.write_text(f"# a comment\n\n{text}\n# another\n")
    assert run(robench, own) == set()


@pytest.mark.parametrize(
    ("file", "again"),
    [
        ("own_defense.py", {"training", "attacking"}),
        ("a_neighbor.py", {"training", "attacking"}),
        ("own_backbone.py", {"training", "attacking"}),
        ("own_data.py", {"training", "attacking"}),
        ("own_method.py", {"training", "attacking"}),
        ("own_attack.py", {"attacking"}),
        ("own_check.py", set()),
    ],
)
def test_an_edit_computes_what_depends_on_it_again(
    robench: Command, own: Path, file: str, again: set[str]
) -> None:
    with (own / file).open("a") as text:
        text.write("\nEDITED = True\n")
    assert run(robench, own, "--set", "evaluation.checks=false") == again


@pytest.mark.parametrize("file", ["own_attack.py", "own_check.py"])
def test_checks_are_made_again_and_found_again_if_the_edit_is_undone(
    robench: Command, own: Path, file: str
) -> None:
    before = (own / file).read_text()
    (own / file).write_text(before + "\nEDITED = True\n")
    assert "checking" in run(robench, own)
    (own / file).write_text(before)
    assert run(robench, own) == set()


def test_a_network_whose_code_has_changed_is_attacked_with_a_warning(
    robench: Command, own: Path
) -> None:
    named = [part for kind in ENTRIES for part in ("--plugin", own / f"own_{kind}.py")]
    attack = ["attack", next((own / "out" / "cells").iterdir()), "--samples", 20, *named]
    assert "is not the one" not in robench(*attack, "--attacks", "fgsm").err
    with (own / "own_backbone.py").open("a") as text:
        text.write("\nEDITED = True\n")
    done = robench(*attack, "--attacks", "fgsm")
    assert done.code == 0, done.err
    assert "robench: the source of the backbone 'own_backbone' is not the one that" in done.err


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("own_data.py", "the source of the data set 'own_data' is not the one that it was trained"),
        ("own_attack.py", "the source of the attack own_attack is not the one of its figures"),
    ],
)
def test_a_published_board_is_held_against_the_sources_it_was_made_with(
    robench: Command, own: Path, file: str, sentence: str
) -> None:
    named = [part for kind in ENTRIES for part in ("--plugin", own / f"own_{kind}.py")]
    verify = ["verify", own / "out" / "own", "--rows", "0", *named]
    assert robench(*verify).code == 0
    with (own / file).open("a") as text:
        text.write("\nEDITED = True\n")
    done = robench(*verify)
    assert done.code == 1
    assert sentence in done.out


def test_an_option_added_later_changes_no_name_unless_it_is_used() -> None:
    evaluation = EvaluationSpec(attacks=("pgd-20",), samples=60)

    def name(call: str) -> str:
        return column_key("targeted", evaluation, attacks.build(call), None)

    # Named so by the version of robench before apgd had an order.
    assert name("apgd(loss='targeted')") == "targeted-4d496f58"
    assert name("apgd(loss='targeted', order='likeliest')") == "targeted-4d496f58"
    assert name("apgd(loss='targeted', order='nearest')") != "targeted-4d496f58"


def test_results_of_the_original_simba_from_before_it_had_a_score_are_not_found_again() -> None:
    evaluation = EvaluationSpec(attacks=("simba",))

    def name(call: str) -> str:
        return column_key("simba", evaluation, attacks.build(call), None)

    # Named so by the versions of robench in which all searches climbed log-odds.
    assert name("simba") == "simba-c81be05f"
    assert name("simba(mode='original')") != "simba-978d467d"
    assert name("simba(mode='original')") == name("simba(mode='original', score='probability')")
    assert name("simba(mode='original')") != name("simba(mode='original', score='log-odds')")


def test_results_that_depend_on_the_batch_are_those_of_one_batch_size() -> None:
    def name(call: str, batch_size: int) -> str:
        evaluation = EvaluationSpec(attacks=(call,), samples=60, batch_size=batch_size)
        return column_key("column", evaluation, attacks.build(call), None)

    library = "torchattacks:PGD(eps=0.1)"
    # Named so before the batch size was part of it.
    assert name(library, 256) == "column-4ac1e336"
    assert len({name(library, size) for size in (7, 60, 256)}) == 3
    assert name("pgd", 7) == name("pgd", 256)


def test_a_new_version_of_a_library_attacks_again_and_is_named(
    robench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = tmp_path / "own.toml"
    board.write_text(LIBRARY_BOARD)

    def attacked(version: str) -> str:
        versions = {"torchattacks": version}
        monkeypatch.setattr(provenance, "version", lambda name: versions.get(name, "1"))
        done = robench("run", board, "--out", tmp_path / "out")
        assert done.code == 0, done.err
        return done.out

    assert ": attacking" in attacked("3.5.1")
    assert ": attacking" not in attacked("3.5.1")
    assert ": attacking" in attacked("3.6.0")
    published = Leaderboard.read(tmp_path / "out" / "own")
    entries = published.cells[0].manifest["outcomes"].values()
    assert {entry["column"]: entry.get("library") for entry in entries} == {
        "clean": None, "fgsm": None, "torchattacks:FGSM": "torchattacks 3.6.0",
    }  # fmt: skip
    assert audit(published) == [] == audit_notes(published)
    monkeypatch.setattr(provenance, "version", lambda name: "3.7.0")
    assert audit(published) == []
    assert "were computed with torchattacks 3.6.0, but here is torchattacks 3.7.0" in " ".join(
        audit_notes(published)
    )


def test_an_attack_of_a_plugin_s_library_that_is_no_package_has_no_version() -> None:
    assert library_of("torchattacks:PGD(eps=0.1)") == f"torchattacks {version('torchattacks')}"
    assert library_of("nowhere_installed:PGD") is None
    assert library_of("pgd-20") is None
    assert library_of("simba(score='a:b')") is None
