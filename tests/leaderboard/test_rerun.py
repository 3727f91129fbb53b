"""Rows of a published board are reproduced from their weights, or retrained."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from published_board import Published
from safetensors.torch import load_file, save_file
from support import Command

from robench.errors import UserError
from robench.evaluation import Outcomes
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.rerun import (
    NOT,
    REPRODUCED,
    draw_rows,
    find_weights,
    rerun,
)


def test_attacking_the_stored_weights_again_reproduces_every_figure(published: Published) -> None:
    board = Leaderboard.read(published.folder)
    again = rerun(board, ["batchnorm"], stores=[published.store])
    assert again.sound
    assert list(again.figures["column"]) == list(board.columns)
    assert (again.figures["verdict"] == REPRODUCED).all()
    assert (again.figures["other_images"] == 0).all()


def test_training_again_with_the_same_seed_reproduces_every_figure(
    robench: Command, published: Published
) -> None:
    done = robench("verify", published.folder, "--rows", "1", "--retrain")
    assert done.code == 0, done.err
    assert done.out.count(REPRODUCED) == 5


def test_weights_in_the_board_s_folder_are_found(published: Published) -> None:
    board = Leaderboard.read(published.folder)
    key = board.cells[1].file.cell.key
    (published.folder / "weights").mkdir()
    (published.folder / "weights" / f"{key}.safetensors").write_bytes(
        (published.store / "cells" / key / "weights.safetensors").read_bytes()
    )
    assert len(rerun(board, ["convnorm"]).figures) == 5
    absent = rerun(board, ["batchnorm"])
    assert absent.sound
    assert "weights are not here" in absent.notes[0]


def test_the_weights_of_the_manifest_come_before_others_of_the_same_cell(
    published: Published, tmp_path: Path
) -> None:
    board = Leaderboard.read(published.folder)
    key = board.cells[0].file.cell.key
    elsewhere = tmp_path / "elsewhere" / "cells" / key / "weights.safetensors"
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_bytes(b"trained on another machine")
    for stores in ([tmp_path / "elsewhere", published.store], [published.store]):
        found = find_weights(board.folder, board.cells[0], stores)
        assert found == published.store / "cells" / key / "weights.safetensors"
    # The store that a board was published in is searched without being named.
    beside = Leaderboard.read(published.store / "tiny")
    assert find_weights(beside.folder, beside.cells[0], []) is not None
    [problem] = rerun(board, ["batchnorm"], stores=[tmp_path / "elsewhere"]).problems
    assert str(elsewhere) in problem
    assert "--retrain" in problem


def test_replaced_weights_are_caught(published: Published, robench: Command) -> None:
    board = Leaderboard.read(published.folder)
    key = board.cells[0].file.cell.key
    state = load_file(published.store / "cells" / key / "weights.safetensors")
    (published.folder / "weights").mkdir()
    first = next(iter(state))
    state[first] = state[first] * 1.01
    save_file(state, published.folder / "weights" / f"{key}.safetensors")
    again = rerun(board, ["batchnorm"])
    assert not again.sound
    assert "is not the file that the manifest describes" in again.problems[0]
    assert "--retrain" in again.problems[0]
    assert robench("verify", published.folder, "--rows", "all").code == 1


def test_figures_that_the_weights_do_not_give_are_not_reproduced(published: Published) -> None:
    board = Leaderboard.read(published.folder)
    path = board.cells[0].result.outcomes.paths["clean"]  # type: ignore[attr-defined]
    true = Outcomes.load(path)
    dataclasses.replace(true, robust=np.zeros_like(true.robust)).save(path)
    again = rerun(board, ["batchnorm"], stores=[published.store])
    verdicts = again.figures.set_index("column")["verdict"]
    assert verdicts["clean"] == NOT
    assert verdicts["pgd-4"] == REPRODUCED
    assert not again.sound


def test_other_images_are_refused(published: Published) -> None:
    published.change("board.json", '"name": "digits"', '"name": "mnist5k"', sums=False)
    board = Leaderboard.read(published.folder)
    with pytest.raises(UserError, match="fingerprint"):
        rerun(board, ["batchnorm"], stores=[published.store])


def test_rows_are_drawn_by_the_seed(published: Published) -> None:
    board = Leaderboard.read(published.folder)
    assert draw_rows(board, "all", 0) == ["batchnorm", "convnorm"]
    assert {draw_rows(board, "1", seed)[0] for seed in range(8)} == {"batchnorm", "convnorm"}
    assert draw_rows(board, "9", 0) == ["batchnorm", "convnorm"]
