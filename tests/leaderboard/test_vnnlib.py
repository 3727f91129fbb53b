"""VNN-LIB instances: boxes, disjunctions, and what the network answers about them."""

import csv
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support import Command

import robench as package
from robench.commands.export_vnnlib import _radius
from robench.data.load import load_dataset
from robench.errors import UserError
from robench.evaluation.adversarial import adversarial_images
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.vnnlib import instance
from robench.runs.attack_cell import evaluation_images

QUICK = Path(package.__file__).resolve().parents[1] / "leaderboards" / "quick"
ROW, EPS, COUNT = "vanilla", 0.2, 12


def read(text: str) -> list[Any]:
    """Read S-expressions as nested lists; comments are left out."""
    tokens = re.findall(r"[()]|[^\s()]+", re.sub(r";.*", "", text))
    stack: list[list[Any]] = [[]]
    for token in tokens:
        if token == "(":
            stack.append([])
        elif token == ")":
            inner = stack.pop()
            stack[-1].append(inner)
        else:
            stack[-1].append(token)
    assert len(stack) == 1
    return stack[0]


def is_true(formula: Any, values: Mapping[str, float]) -> bool:
    operator, *rest = formula
    if operator in ("and", "or"):
        return (all if operator == "and" else any)(is_true(part, values) for part in rest)
    one, other = (values[term] if term in values else float(term) for term in rest)
    return one >= other if operator == ">=" else one <= other


def holds(text: str, image: torch.Tensor, logits: torch.Tensor) -> bool:
    """Return whether an image is the counterexample that a file describes."""
    values = {f"X_{i}": v for i, v in enumerate(image.double().flatten().tolist())}
    values |= {f"Y_{j}": v for j, v in enumerate(logits.flatten().tolist())}
    return all(is_true(form[1], values) for form in read(text) if form[0] == "assert")


def test_a_file_has_the_box_cut_off_at_0_and_1_and_a_disjunction_of_the_other_classes() -> None:
    image = torch.tensor([[[0.0, 0.5], [0.25, 1.0]]])
    forms = read(instance(image, label=1, classes=3, eps=0.25, about="one\n(assert false)"))
    declared = [form[1] for form in forms if form[0] == "declare-const"]
    assert declared == ["X_0", "X_1", "X_2", "X_3", "Y_0", "Y_1", "Y_2"]
    assert [form[1] for form in forms if form[0] == "assert"] == [
        [">=", "X_0", "0.0"], ["<=", "X_0", "0.25"],
        [">=", "X_1", "0.25"], ["<=", "X_1", "0.75"],
        [">=", "X_2", "0.0"], ["<=", "X_2", "0.5"],
        [">=", "X_3", "0.75"], ["<=", "X_3", "1.0"],
        ["or", ["and", [">=", "Y_0", "Y_1"]], ["and", [">=", "Y_2", "Y_1"]]],
    ]  # fmt: skip


def test_numbers_have_no_exponent_and_are_exact() -> None:
    image = torch.full((1, 1, 1), 1e-7)
    forms = read(instance(image, label=0, classes=2, eps=3e-9, about=""))
    least, most = (form[1][2] for form in forms if form[0] == "assert" and form[1][0] != "or")
    assert "e" not in least + most
    exact = float(image.double())
    assert (float(least), float(most)) == (exact - 3e-9, exact + 3e-9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for name in ("onnx", "onnxscript"):
        pytest.importorskip(name)
    from typer.testing import CliRunner

    from robench.cli import app

    out = tmp_path_factory.mktemp("vnnlib") / "instances"
    options = ["--row", ROW, "--samples", str(COUNT), "--timeout", "60", "--out", str(out)]
    done = CliRunner().invoke(app, ["export", str(QUICK), "--format", "vnnlib", *options])
    assert done.exit_code == 0, done.output
    assert f"instances of Linf radius {EPS:g}" in done.output
    return out


def rows(folder: Path) -> list[list[str]]:
    with (folder / "instances.csv").open(newline="") as file:
        return list(csv.reader(file))


def test_the_list_pairs_files_that_are_there_with_a_time_limit(folder: Path) -> None:
    listed = rows(folder)
    assert 0 < len(listed) <= COUNT
    for network, specification, timeout in listed:
        assert (folder / network).is_file()
        assert (folder / specification).is_file()
        assert timeout == "60"
    files = sorted(path.name for path in (folder / "vnnlib").iterdir())
    assert files == sorted(Path(line[1]).name for line in listed)


def test_the_images_are_no_counterexamples_and_what_pgd_finds_in_the_box_is_one(
    folder: Path,
) -> None:
    runtime = pytest.importorskip("onnxruntime").InferenceSession(folder / "onnx" / "network.onnx")
    sample = evaluation_images(load_dataset("mnist5k"), COUNT)
    images, model = sample.images.float() / 255, package.load(f"{QUICK}/{ROW}")
    attack = [f"pgd(eps={EPS - 1e-6},steps=10)"]  # float32 rounds at the border of the box
    evaluation, evaluated = adversarial_images(model, images, sample.labels, attack)
    listed = {int(Path(line[1]).stem.removeprefix("image_")): line[1] for line in rows(folder)}
    assert list(listed) == evaluation.clean.nonzero()[0].tolist()
    fooled = 0
    for index, name in listed.items():
        text = (folder / name).read_text()
        for image, fools in (
            (images[index], False),
            (evaluated[attack[0]].images[index], not evaluation.attacks[attack[0]].robust[index]),
        ):
            logits = torch.tensor(runtime.run(["Y"], {"X": image[None].numpy()})[0])
            torch.testing.assert_close(logits, model(image[None]), rtol=1e-4, atol=1e-4)
            assert holds(text, image, logits) == fools
            fooled += int(fools)
    assert fooled


def in_l2(board: Leaderboard) -> Leaderboard:
    name = board.board.evaluation.main_column
    return replace(board, columns={name: replace(board.columns[name], threat_model=("l2", 0.5))})


def test_a_ball_in_l2_is_refused_with_the_largest_box_within() -> None:
    board = in_l2(Leaderboard.read(QUICK))
    with pytest.raises(UserError, match=r"l2 of radius 0\.5: give .* has --eps 0\.0625"):
        _radius(board, None, 64)
    assert _radius(board, 0.0625, 64) == 0.0625


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--format", "vnnlib"), "name their folder with --out"),
        (("--format", "vnnlib", "--out", "OUT"), "name its row with --row; 'vanilla', 'batchnorm'"),
        (("--format", "vnnlib", "--out", "OUT", "--row", "batchnrom"), "'batchnorm'"),
        (("--format", "vnnlib", "--out", "OUT", "--row", ROW, "--eps", "8"), "write '8/255'?"),
        (("--format", "vnnlib", "--out", "OUT", "--row", ROW, "--eps", "x"), "'x' is not a radius"),
        (("--row", ROW), "--row goes with --format vnnlib"),
        (("--format", "vnnlib", "--beside-paper"), "leave it out with --format vnnlib"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    robench: Command, tmp_path: Path, options: tuple[str, ...], sentence: str
) -> None:
    pytest.importorskip("onnxscript")
    out = tmp_path / "out"
    done = robench("export", QUICK, *(out if option == "OUT" else option for option in options))
    assert done.code == 2
    assert sentence in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not out.exists()
