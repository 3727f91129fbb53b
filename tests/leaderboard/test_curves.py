"""Training curves as a table and as a figure."""

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from page_boards import Invented, invent

from robench.board.specs import TrainingSpec
from robench.leaderboard import curves as module
from robench.leaderboard.curves import draw_curves, training_curves
from robench.leaderboard.pictures import draw_pictures
from robench.runs.records import BoardResult, CellResult, RowResult
from robench.system.figures import CURVES

TWO = invent([Invented("one", seconds=10.0), Invented("other", seconds=4.0, method="standard")])


def changed(result: BoardResult, **evidence: object) -> BoardResult:
    """Return the board with other evidence for every cell."""

    def cell(done: CellResult) -> CellResult:
        return replace(done, evidence=done.evidence.model_copy(update=evidence))

    made = tuple(RowResult(r.title, r.costs, tuple(map(cell, r.cells))) for r in result.rows)
    return replace(result, rows=made)


def test_there_is_one_line_per_row_seed_and_epoch() -> None:
    curves = training_curves(TWO.result)
    assert len(curves) == 2 * 2 * 30
    assert not curves.duplicated(["defense", "seed", "epoch"]).any()


def test_iterations_are_optimizer_steps_including_free_replays() -> None:
    curves = training_curves(TWO.result)
    first = curves[curves["epoch"] == 1].groupby("defense")["iteration"].first()
    # 1,000 images in batches of 128, each replayed 4 times or shown once
    assert first.to_dict() == {"one": 8 * TrainingSpec().replays, "other": 8}
    last = curves[curves["epoch"] == 30].groupby("defense")["iteration"].first()
    assert (last == 30 * first).all()


def test_seconds_add_up() -> None:
    curves = training_curves(TWO.result)
    one = curves[(curves["defense"] == "one") & (curves["seed"] == 0)]
    assert one["seconds"].tolist() == pytest.approx([10.0 * n for n in range(1, 31)])


def test_a_log_without_images_has_no_iterations_and_an_empty_one_no_lines() -> None:
    log = ({"epoch": 1, "seconds": 2.0, "val_accuracy": 0.5},)
    assert training_curves(changed(TWO.result, training=log))["iteration"].isna().all()
    assert training_curves(changed(TWO.result, training=())).empty


def test_the_picture_is_the_same_for_the_same_curves(tmp_path: Path) -> None:
    curves = training_curves(TWO.result)
    for name in ("a.svg", "b.svg"):
        draw_curves(curves, ["one", "other"], "a caption", tmp_path / name)
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    assert text.startswith("<?xml")


def test_a_picture_of_many_rows_shows_the_first_and_says_so(tmp_path: Path) -> None:
    board = invent([Invented(f"row {n}") for n in range(CURVES + 1)], seeds=[0], samples=20)
    assert draw_pictures(board.result, board.table, tmp_path) == [tmp_path / "curves.svg"]
    assert f"the first {CURVES} of {CURVES + 1} rows" in (tmp_path / "curves.svg").read_text()


def test_long_titles_leave_the_plots_their_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(module, "save_figure", lambda figure, _: drawn.append(figure))
    curves = training_curves(TWO.result).replace("other", "W" * 130 + " (seed 7)")
    draw_curves(curves, ["one", "W" * 130 + " (seed 7)"], "a caption", tmp_path / "a.svg")
    drawn[0].draw_without_rendering()
    assert all(axes.get_position().width > 0.18 for axes in drawn[0].axes)
    (_, long) = (text.get_text() for text in drawn[0].legends[0].get_texts())
    assert long.startswith("WWWW")
    assert long.endswith("W (seed 7)")


@pytest.mark.parametrize("title", ["p^$_$ net", r"cost $\frac$", "a $x$ b", "_hidden", "{v1}"])
def test_titles_and_data_sets_are_shown_as_they_are(title: str, tmp_path: Path) -> None:
    board = invent([Invented(title), Invented("other")], seeds=[0], samples=20)
    result = replace(board.result, dataset=f"pets {title}")
    [path] = draw_pictures(result, board.table, tmp_path)
    said = [line.strip(" ") for line in path.read_text().splitlines()]
    assert any(line.strip("<!-> ") == title for line in said)


def test_one_epoch_does_not_make_a_curve(tmp_path: Path) -> None:
    log = ({"epoch": 1, "seconds": 2.0, "val_accuracy": 0.5},)
    assert draw_pictures(changed(TWO.result, training=log), TWO.table, tmp_path) == []
