"""The tables on the console: no name and no figure is lost, at any width and in a pipe."""

import io
import re
from collections.abc import Iterable

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console, RenderableType
from rich.markup import render
from torch import nn

from robench import registry
from robench.board.loading import read_board
from robench.board.shipped import shipped_boards
from robench.cli.options import UNBOUNDED
from robench.cli.tables.boards import leaderboard_table, states_table
from robench.cli.tables.entries import defenses_table, entries_table
from robench.cli.tables.networks import (
    cross_check_table,
    evaluation_table,
    ratios_table,
    spectra_table,
)
from robench.cli.tables.verification import rerun_table
from robench.cli.tables.words import plain
from robench.commands.reproduce import State
from robench.evaluation import evaluate
from robench.leaderboard.published import Leaderboard

WIDTHS = (60, 80, 120, UNBOUNDED)
ATTACKS = [
    "fgsm(eps=8/255)", "pgd-3(eps=8/255, random_start=false)", "simba(max_steps=2)",
    "torchattacks:MIFGSM(eps=0.0313, steps=2, decay=0.75)", "noise(eps=0.25)",
]  # fmt: skip


def shown(table: RenderableType, width: int = 200) -> str:
    """Return what a console of this width prints."""
    console = Console(record=True, width=width, file=io.StringIO())
    console.print(table)
    text = console.export_text()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    return text


def missing(cells: Iterable[str], text: str) -> list[str]:
    """Return the cells that the text does not show, folded or not.

    A folded name goes on below itself, so that it is found in a column of the text.
    """
    lines, whole = text.splitlines(), squeezed(text)
    return [
        cell
        for cell in cells
        if squeezed(cell) not in whole
        and not any(
            squeezed(cell) in squeezed("".join(line[left:right] for line in lines))
            for left in range(60)
            for right in range(left + 8, 61)
        )
    ]


def squeezed(text: str) -> str:
    """Return the text without blanks and ends of lines."""
    return re.sub(r"\s", "", text)


@pytest.fixture(scope="module")
def evaluated() -> pd.DataFrame:
    """The table of an evaluation with long names."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    images = torch.rand(8, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    return evaluate(model, images, model(images).argmax(1), ATTACKS).table()


def test_shares_are_in_percent_and_sizes_and_queries_are_not() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    nn.init.zeros_(model[1].weight)  # no perturbation changes a prediction
    images = torch.full((8, 1, 2, 2), 0.5)
    labels = model(images).argmax(1)
    table = evaluate(model, images, labels, ["noise(eps=0.25)", "fgsm(eps=0)"]).table()
    text = shown(evaluation_table(table, "t"))
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    assert "100.0%" in lines["fgsm(eps=0)"]
    *_, largest_linf, median_l2 = lines["noise(eps=0.25)"]
    assert np.isclose(float(largest_linf), table.loc[1, "largest_linf"], rtol=1e-3)
    assert median_l2 == "-"  # nothing was fooled


@pytest.mark.parametrize("width", WIDTHS)
def test_every_attack_and_figure_of_an_evaluation_is_shown(
    width: int, evaluated: pd.DataFrame
) -> None:
    text = shown(evaluation_table(evaluated, "a network; 8 images", gradients="bf16"), width)
    cells = list(evaluated["attack"])
    for row in evaluated.to_dict("records"):
        cells += [f"{row['accuracy']:.1%}", f"{row['mean_forwards']:.4g}"]
        cells += [f"{row[k]:.4g}" for k in ("largest_linf", "median_l2") if row[k] == row[k]]
    headers = ["images", "accuracy", "fooled", "forwards", "(median)", "(largest)"]
    assert not missing([*cells, *headers, "gradients: bf16", "a network; 8 images"], text)
    assert "…" not in text


def test_a_pipe_gets_one_line_per_attack(evaluated: pd.DataFrame) -> None:
    lines = shown(evaluation_table(evaluated, "t"), UNBOUNDED).splitlines()
    for name in evaluated["attack"]:
        assert len([line for line in lines if line.strip().startswith(f"{name} ")]) == 1


def test_a_radius_is_printed_as_it_was_typed(evaluated: pd.DataFrame) -> None:
    assert evaluated["attack"].iloc[-1] == "worst case (linf 8/255)"


@pytest.mark.parametrize("width", WIDTHS)
def test_every_cell_of_a_comparison_of_libraries_is_shown(width: int) -> None:
    rows = [
        {"attack": "pgd-20", "library": library, "samples": 99, "accuracy": 0.123,
         "robench_accuracy": 0.456, "agreement": 0.789, "only_robench_fools": 21,
         "only_library_fools": 43, "p_value": 0.0123,
         "beyond_chance": " ".join(map(str, range(100, 112)))}
        for library in ("torchattacks", "foolbox")
    ]  # fmt: skip
    text = shown(cross_check_table(pd.DataFrame(rows), "a network"), width)
    cells = ["pgd-20", "torchattacks", "foolbox", "12.3%", "45.6%", "78.9%", "21", "43", "0.012"]
    assert not missing([*cells, "gradients: float32"], text)
    assert all(str(sample) in text for sample in range(100, 112))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", ["attacks", "defenses"])
def test_every_entry_is_listed_with_what_it_does(kind: str, width: int) -> None:
    entries = getattr(registry, kind)
    found = [entries.get(name) for name in [*entries, *entries.library_names()]]
    table = defenses_table(found) if kind == "defenses" else entries_table(found, kind)
    squeezed = re.sub(r"\s", "", shown(table, width))
    assert "…" not in squeezed
    for entry in found:
        assert re.sub(r"\s", "", entry.name) in squeezed
    words = {w for entry in found for w in f"{entry.summary} {entry.reference}".split()}
    text = shown(table, width)
    assert not [word for word in words if word not in text and len(word) < 12]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["quick", "cifar10-linf-small", "paper-table1-cpu"])
def test_every_column_of_a_published_board_is_shown(name: str, width: int) -> None:
    board = Leaderboard.read(shipped_boards()[name].parent)
    table = leaderboard_table(board.board, board.table, "title", result=board.result)
    text = shown(table, width)
    columns = board.board.evaluation.columns
    means = [f"{100 * m:.1f}" for c in columns for m in board.table[f"{c}_mean"]]
    wide = board.board.evaluation.ranking_column
    assert not missing([*board.table["defense"], *columns, *means, f"{wide} ▼", "s/epoch"], text)
    assert "gradients: " in re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("width", WIDTHS)
def test_every_cell_of_other_tables_is_shown(width: int) -> None:
    rerun = pd.DataFrame(
        [{"defense": "convnorm, 20% noise", "seed": 666, "column": "simba(samples=50)",
          "published": 0.614, "found": 0.618, "other_images": 12,
          "verdict": "reproduced but for 12 images (rounding)"}]
    )  # fmt: skip
    cells = ["convnorm, 20% noise", "666", "simba(samples=50)", "61.4%", "61.8%", "12 images"]
    text = shown(rerun_table(rerun, "attacked again"), width)
    assert not missing([*cells, "reproduced", "(rounding)"], text)
    keys = ("channel_condition_median", "channel_condition_max", "condition", "norm",
            "norm_bound", "padded_norm")  # fmt: skip
    figures = {key: 1234.5 + 111 * i for i, key in enumerate(keys)}
    spectra = pd.DataFrame([{"layer": "layer4.0.downsample.0", "operator": "circular", **figures}])
    text = shown(spectra_table(spectra, "t", "c"), width)
    assert not missing(["layer4.0.downsample.0", *(f"{v:.4g}" for v in figures.values())], text)
    ratios = pd.DataFrame(
        [{"network": "convnorm", "operator": "circular", "layers": 7, "arithmetic": 0.5,
          "geometric": 0.01}]
    )  # fmt: skip
    assert not missing(["convnorm", "0.5", "0.01", "-2.00"], shown(ratios_table(ratios), width))
    state = State("arXiv:1", "Table 4, CIFAR-10", "paper-table4-cifar10-cpu", "reduced", 8,
                  "published", "seeds 6, 8; 10,000 test images")  # fmt: skip
    text = re.sub(r"\s", "", shown(states_table([state]), width))
    assert "paper-table4-cifar10-cpu" in text
    assert "reduced" in text


def test_a_shortened_name_of_a_column_is_explained() -> None:
    board = read_board(shipped_boards()["quick"])
    published = Leaderboard.read(shipped_boards()["quick"].parent)
    text = shown(leaderboard_table(board, published.table, "t"), UNBOUNDED)
    assert "simba is simba(samples=50)" in text


@pytest.mark.parametrize("text", ["convnorm \\[/red]", "a[b]", "x\\", "[dim]y[/dim]", "[1, 2]"])
def test_no_name_is_read_as_markup(text: str) -> None:
    assert render(f"[dim]{plain(text)}[/dim]").plain == text
