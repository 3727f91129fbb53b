"""Rows of a published board are reproduced from their weights, or retrained."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from forging import forge
from published_board import BOARD, FIRST, Published
from safetensors.torch import load_file, save_file
from support import Command

from robench.errors import UserError
from robench.leaderboard.evidence import read_sums, weights_name
from robench.leaderboard.publish import trained_networks
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.rerun import NOT, REPRODUCED, draw_rows, draw_titles, find_weights, rerun
from robench.runs.store import RunStore


def test_a_clone_of_a_board_with_its_weights_is_attacked_and_reproduced(
    robench: Command, finished_board: Path, tmp_path: Path
) -> None:
    # The same cells, for whether weights are published is no part of what is trained.
    out = tmp_path / "out"
    shutil.copytree(finished_board / "cells", out / "cells")
    (out / "tiny.toml").write_text("publish_weights = true\n" + BOARD)
    done = robench("run", out / "tiny.toml", "--out", out)
    assert done.code == 0, done.err
    assert done.out.count(": stored") == 2
    published = Leaderboard.read(finished_board / "tiny").table
    pd.testing.assert_frame_equal(Leaderboard.read(out / "tiny").table, published)
    clone = Path(shutil.copytree(out / "tiny", tmp_path / "clone" / "tiny"))
    names = [name for name in read_sums(clone) if name.startswith("weights/")]
    assert len(names) == 2
    assert "publish_weights = true" in (clone / "board.toml").read_text()

    found = robench("verify", clone, "--rows", "1", "--seed", FIRST, "--fresh-seed", "7")
    assert found.code == 0, found.out
    assert found.out.count(" reproduced ") == 5
    assert "0 images" in found.out
    assert "attacked with --fresh-seed 7" in found.out
    assert found.out.count(" agrees ") == 4
    assert "1 of 2 rows attacked again (drawn with --seed " in found.out
    assert "taken on trust: times, memory, device, commit and names" in found.out

    # Weights that are gone are noticed before an incomplete folder is published.
    next(iter((out / "cells").glob("*/weights.safetensors"))).write_bytes(b"x")
    with pytest.raises(UserError, match="does not hold the weights that were attacked"):
        trained_networks(Leaderboard.read(clone).result, RunStore(out / "cells"))


def test_forgeries_that_agree_with_all_hashes_are_found_by_attacking_again(
    published: Published,
) -> None:
    manifest = next(iter(sorted(published.folder.glob("manifests/batchnorm*.json"))))
    values = json.loads(manifest.read_text())
    values["training"] = []  # B15: an empty log is no reason to fail
    values["checks"]["findings"][4]["passed"] = False
    manifest.write_text(json.dumps(values))
    cell = Leaderboard.read(published.folder).cells[0]
    outcomes = dict(cell.outcomes)
    one = outcomes["fgsm"].robust.copy()
    one[np.flatnonzero(outcomes["fgsm"].fooled)[0]] = True
    forged = {
        "fgsm": dataclasses.replace(outcomes["fgsm"], robust=one),
        "pgd-4": outcomes["pgd-2"],
    }
    for column, changed in forged.items():
        changed.save(cell.result.outcomes.paths[column])  # type: ignore[attr-defined]
    again = rerun(Leaderboard.read(published.folder), ["batchnorm"], stores=[published.store])
    verdicts = again.figures.set_index("column")["verdict"]
    assert dict(verdicts) == {
        "clean": REPRODUCED,
        "fgsm": NOT,
        "pgd-2": REPRODUCED,
        "pgd-4": NOT,
        "simba(samples=6, max_steps=8)": REPRODUCED,
    }
    assert again.figures.set_index("column")["other_images"]["fgsm"] == 1
    assert not again.sound
    [problem] = again.problems
    assert "'noise_floor' is published as failed, but is passed here" in problem


def test_a_rewritten_specification_does_not_hide_the_weights(published: Published) -> None:
    board = Leaderboard.read(published.folder)
    cell = board.cells[0]
    other = cell.file.cell.model_copy(update={"seed": 1})
    other = type(other).model_validate(other.model_dump())  # without the cached key
    assert other.key != cell.file.cell.key
    rewritten = dataclasses.replace(cell, file=cell.file.model_copy(update={"cell": other}))
    forged = dataclasses.replace(board, cells=(rewritten,))
    [problem] = rerun(forged, ["batchnorm"], stores=[published.store]).problems
    assert "holds its weights under another specification" in problem
    # Filed under the new key, the header of the weights gives it away.
    weights = published.folder / weights_name(other.key)
    weights.parent.mkdir()
    stored = published.store / "cells" / cell.file.cell.key / "weights.safetensors"
    weights.write_bytes(stored.read_bytes())
    [problem] = rerun(forged, ["batchnorm"]).problems
    assert "does not have the cell of the specification" in problem


@pytest.mark.parametrize(
    ("options", "code"), [([], 0), (["--rows", "all"], 3), (["--rows", "0"], 0), (["--fresh"], 3)]
)
def test_a_verification_that_checked_nothing_of_what_was_asked_for_has_exit_code_3(
    robench: Command, published: Published, options: list[str], code: int
) -> None:
    done = robench("verify", published.folder, *options)
    assert done.code == code, done.out
    why = "none was asked for" if options == ["--rows", "0"] else "no weights here"
    assert f"0 of 2 rows attacked again: {why}. Only the files were compared." in done.out
    if why == "no weights here":
        assert "its weights are not here (sha256 " in done.out


def test_training_again_with_the_same_seed_reproduces_every_figure(
    robench: Command, published: Published
) -> None:
    done = robench("verify", published.folder, "--rows", "1", "--seed", FIRST, "--retrain")
    assert done.code == 0, done.err
    assert done.out.count(REPRODUCED) == 5


def test_training_that_gives_other_weights_has_exit_code_3_since_the_recipe_is_not_shown(
    robench: Command, published: Published
) -> None:
    forge(published, lambda values: values["manifest"].update(weights_hash="0" * 64))
    done = robench("verify", published.folder, "--rows", "1", "--seed", FIRST, "--retrain")
    assert done.code == 3, done.out
    assert "training it here gave other weights than the published ones." in done.out
    assert done.out.count(REPRODUCED) == 5


def test_weights_in_the_board_s_folder_are_found(published: Published) -> None:
    board = Leaderboard.read(published.folder)
    key = board.cells[1].file.cell.key
    weights = published.folder / weights_name(key)
    weights.parent.mkdir()
    stored = published.store / "cells" / key / "weights.safetensors"
    weights.write_bytes(stored.read_bytes())
    assert find_weights(board.folder, board.cells[1], []) == weights
    assert find_weights(board.folder, board.cells[0], []) is None


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


def test_rows_may_be_a_number_from_python() -> None:
    assert draw_titles(["a", "b", "c"], 2, 3) == draw_titles(["a", "b", "c"], "2", 3)
    assert draw_titles(["a", "b"], 0, 0) == []


@pytest.mark.parametrize("rows", ["two", "-1", "", -1, 1.5, True, None, ["batchnorm"], "9" * 10])
def test_rows_that_are_no_number_are_refused(rows: Any) -> None:
    with pytest.raises(UserError, match=r"^rows is .*; give a number of rows, or 'all'\.$"):
        draw_titles(["a"], rows, 0)


def test_plain_verify_compares_the_files_if_nobody_says_where_the_images_are(
    robench: Command, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*given: object) -> None:
        raise UserError("say where the images are: --data-dir DIR.")

    for module in ("robench.commands.verify", "robench.leaderboard.rerun.run"):
        monkeypatch.setattr(f"{module}.board_images", absent)
    plain = robench("verify", published.folder, "--store", published.store)
    assert plain.code == 0, plain.err
    assert "its images are not here: say where the images are: --data-dir DIR." in plain.out
    assert "0 of 2 rows attacked again: see above. Only the files were compared." in plain.out
    asked = robench("verify", published.folder, "--store", published.store, "--rows", "1")
    assert asked.code == 2
    assert asked.err.startswith("robench: say where the images are: --data-dir DIR")
