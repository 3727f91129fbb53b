"""The README's code blocks work as pasted, with smaller budgets where they train boards."""

import re
import shlex
import shutil
import tomllib
from pathlib import Path

import pandas as pd
import pytest
from support import Command, changed_board

import robench as package
from robench.board.shipped import shipped_boards
from robench.board.specs import EvaluationSpec
from robench.plugins import registrations_undone
from robench.registry import defenses

pytestmark = pytest.mark.usefixtures("few_queries")

README = Path(package.__file__).resolve().parents[1] / "README.md"
FEW_LAYERS = "lipschitz_convnet(blocks=1, depth=2)"
SMALL = [
    "--set=data.name=digits", f"--set=model.name={FEW_LAYERS}", "--set=model.width=8",
    "--set=model.stem=cifar",
    "--set=data.subset=0.3", "--set=training.epochs=1", "--set=evaluation.samples=20",
    "--set=evaluation.check_samples=10",
]  # fmt: skip
SMALLER = {
    'name = "mnist5k"': 'name = "digits"\nsubset = 0.3',
    'name = "resnet18"': f'name = "{FEW_LAYERS}"',
    "width = 16": "width = 8",
    'stem = "half"': 'stem = "cifar"',
    "epochs = 2": "epochs = 1",
    "samples = 1000": "samples = 20\ncheck_samples = 10",
    '["vanilla", "batchnorm", "spectral_norm", "convnorm"]': '["vanilla"]',
}
"""Changes of the board that a reader copies; with --set, it would be another board's results."""


def story(title: str) -> list[tuple[str, str]]:
    """Return the (language, text) of each code block of a section."""
    section = README.read_text().split(f"## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"```(\w+)\n(.*?)```", section, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, with the board that a reader would have copied."""
    monkeypatch.chdir(tmp_path)
    board = shipped_boards()["quick"].read_text()
    board = board[: board.index("[[arms]]")]
    for old, new in SMALLER.items():
        assert old in board
        board = board.replace(old, new)
    (tmp_path / "my_board.toml").write_text(board)
    return tmp_path


def expand(word: str, folder: Path) -> list[str]:
    return [str(path) for path in sorted(folder.glob(word))] if "*" in word else [word]


def run_lines(text: str, robench: Command, folder: Path) -> None:
    for line in text.splitlines():
        words = [path for word in shlex.split(line, comments=True) for path in expand(word, folder)]
        small = SMALL if words[1] in ("run", "train") and "my_board.toml" not in words else []
        done = robench(*words[1:], *small)
        assert done.code == 0, (line, done.err)


def test_register_a_new_defense(robench: Command, folder: Path) -> None:
    (_, code), (_, command) = story("Register a new defense")
    (folder / "my_norm.py").write_text(code)
    run_lines(command, robench, folder)
    table = pd.read_csv(changed_board(folder / "runs", "quick") / "leaderboard.csv")
    assert set(table["defense"]) == {"my_norm", "batchnorm"}


def test_run_attacks(robench: Command, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (_, commands), (_, code) = story("Run attacks")
    run_lines(commands, robench, folder)
    exec(compile(code, "README", "exec"), {})
    assert "pgd-20(norm='l2'" in capsys.readouterr().out


def test_publish_a_leaderboard(
    robench: Command, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = [text for _, text in story("Publish a leaderboard")]
    command, ranking, corrupting, code, reading, using, submitting, adding, lowering, other = blocks
    for evaluation in (ranking, corrupting):
        EvaluationSpec.model_validate(tomllib.loads(evaluation)["evaluation"])
    assert lowering.count("robench challenge leaderboards/quick") == 2
    run_lines(command, robench, folder)
    exec(compile(code, "README", "exec"), {})
    assert "pgd-20_low" in capsys.readouterr().out
    exec(compile(reading, "README", "exec"), {})
    assert "flags" in capsys.readouterr().out
    run_lines(using, robench, folder)
    assert (folder / "results" / "my_board" / "page.html").stat().st_size > 100_000
    passing = [line for line in submitting.splitlines() if "my_nets" not in line]
    passing[-1] = passing[-1].replace("leaderboards/quick", "results/my_board")
    run_lines("\n".join(passing).replace("--rows convnorm", "--rows vanilla"), robench, folder)
    assert (folder / "merged" / "leaderboard.csv").exists()
    (folder / "my_norm.py").write_text(story("Register a new defense")[0][1])
    *adding, merging = adding.splitlines()
    with registrations_undone():
        run_lines("\n".join(adding).replace("--attacks-of quick ", ""), robench, folder)
    # These rows are of other images than quick.
    assert "check-submission s --attacks-of quick" in adding[-1]
    assert merging.startswith("robench merge leaderboards/quick s")
    assert "cifar10-linf-small" in shipped_boards()
    assert "cifar10-linf-small --data-dir" in other


def test_see_what_an_attack_does(robench: Command, folder: Path) -> None:
    ((_, commands),) = story("See what an attack does")
    run_lines(commands, robench, folder)
    assert (folder / "show.png").read_bytes().startswith(b"\x89PNG")


def test_the_two_commands_are_at_the_top() -> None:
    (_, commands), *_ = story("Two commands")
    assert "pip install -e . && robench run " in commands
    assert "pip install -e '.[test]' && pytest" in commands


def test_files_that_the_readme_points_to_are_there() -> None:
    root = README.parent
    for target in re.findall(r"\]\(([^)#:]+)\)", README.read_text()):
        assert (root / target).exists(), target
    assert shutil.which("robench")


def test_see_what_a_defense_does(robench: Command, folder: Path) -> None:
    ((_, commands),) = story("See what a defense does to a network's layers")
    run_lines(commands, robench, folder)
    assert {path.name for path in (folder / "spectra").iterdir()} == {
        "spectra.csv", "spectra.svg", "ratios.csv",
    }  # fmt: skip


def test_the_table_of_defenses_names_them_all() -> None:
    section = README.read_text().split("## The defenses\n")[1].split("\n## ")[0]
    named = set(re.findall(r"`([a-z_]+)`", section))
    assert {
        name
        for name in defenses
        if Path(defenses.get(name).file).parent == README.parent / "defenses"
    } <= (named)
