"""Every table and figure of the paper has a board, or a reason why it has none."""

from pathlib import Path

import pytest
from support import Command

from robench.board.board import Board
from robench.board.loading import read_board
from robench.board.plan import resolve
from robench.board.shipped import shipped_boards
from robench.commands.reproduce import _same_specification, states

PAPER = {
    name: board
    for name, path in shipped_boards().items()
    if (board := read_board(path)).paper is not None
}
REDUCED = [name for name in PAPER if name.endswith("-cpu")]


def keys(board: Board) -> set[str]:
    rows = resolve(board).rows
    return {c.key for row in rows for c in row.cells(board.seeds, "cifar10-jpeg", "hash")}


def test_every_table_and_figure_is_there_in_the_papers_order(tmp_path: Path) -> None:
    found = states(tmp_path)
    items = list(dict.fromkeys(state.item.split(",")[0] for state in found))
    assert items == [*(f"Table {n}" for n in range(1, 10)), "Figure 4", "Figure 6"]
    assert any("Figure 2" in state.item for state in found)
    for state in found:
        assert state.state in ("published", "run", "not run")
    cells = {state.board: state.cells for state in found}
    assert cells["paper-table3"] == 5 * 3  # the averaged generator is of one of these trainings


def test_a_published_board_is_the_one_that_is_shipped() -> None:
    for state in states(Path("nowhere")):
        assert not state.state.endswith("changed"), state.board


def test_a_board_that_was_run_is_found_where_it_was_run(robench: Command, tmp_path: Path) -> None:
    name = "paper-table5-cpu"
    done = robench(
        "run", name, "--out", tmp_path, "--seeds", "6", "--set", "data.name=digits",
        "--set", "data.subset=0.2", "--set", "training.epochs=1", "--set", "model.width=4",
        "--set", "evaluation.samples=30",
    )  # fmt: skip
    assert done.code == 0, done.err
    state = next(state for state in states(tmp_path) if state.board == name)
    if state.state != "published":
        assert state.state == "run, changed"  # fewer seeds, epochs and images than the board's
        assert "seeds 6; 30 test images" in state.provenance
    shown = robench("reproduce", "--out", tmp_path)
    assert shown.code == 0, shown.err
    assert name in shown.out
    assert "paper-table3-cpu" in shown.out  # a board of GANs


def test_a_board_with_other_images_or_rows_is_a_different_one() -> None:
    board = PAPER["paper-table6-cpu"]
    assert _same_specification(board.model_copy(update={"title": "another text"}), board)
    fewer = board.data.model_copy(update={"subset": 0.01})
    assert not _same_specification(board.model_copy(update={"data": fewer}), board)
    arms = tuple(row.model_copy(update={"data": {"label_noise": 0.9}}) for row in board.arms)
    assert not _same_specification(board.model_copy(update={"arms": arms}), board)


def test_a_damaged_folder_does_not_hide_the_state_of_the_others(
    tmp_path: Path,
) -> None:
    name = "paper-table4-imagenet"  # nobody has published it
    (tmp_path / name).mkdir()
    (tmp_path / name / "SHA256SUMS").write_text("no sum at all\n")
    found = {state.board: state for state in states(tmp_path)}
    assert found[name].state == "run, damaged"
    assert name in found[name].provenance
    assert len(found) == len(states(Path("nowhere")))


@pytest.mark.parametrize("name", REDUCED)
def test_a_reduced_board_says_so_and_changes_only_the_scale(name: str) -> None:
    small, full = PAPER[name], PAPER[name.removesuffix("-cpu")]
    assert small.title.endswith("(a reduced CPU-scale board)")
    assert small.paper is not None
    assert full.paper is not None
    assert (small.paper.scale, full.paper.scale) == ("reduced", "full")
    choices = {"scale": "full", "choices": full.paper.choices}
    assert small.paper.model_copy(update=choices) == full.paper
    # Boards that were run before an option of the data existed say what they did instead.
    other_data = {"label_noise_mode", "subset_of"} & small.data.model_fields_set
    changed = set(small.paper.choices) - set(full.paper.choices)
    assert len(changed) == len(other_data)
    assert small.titles == full.titles
    assert [row.defense for row in small.arms] == [row.defense for row in full.arms]
    scale = {"epochs", "schedule", "precision", "milestones"}
    one, other = (board.training.model_dump(exclude=scale) for board in (small, full))
    assert one == other
    one, other = (b.evaluation.model_dump(exclude={"samples", "attacks"}) for b in (small, full))
    assert one == other
    assert set(full.evaluation.attacks) <= set(small.evaluation.attacks)


def test_full_boards_have_the_papers_recipe() -> None:
    free = PAPER["paper-table1"].training
    assert (free.method, free.epochs, free.milestones, free.replays) == ("free", 30, (10, 20), 4)
    assert free.eps == free.step_size == 8 / 255
    assert not free.carry_delta
    for name in ("paper-table4-cifar10", "paper-table6", "paper-table7", "paper-figure6"):
        clean = PAPER[name].training
        assert (clean.method, clean.epochs, clean.milestones) == ("standard", 120, (40, 80))
        assert (clean.lr, clean.weight_decay, clean.batch_size) == (0.1, 1e-4, 128)
    figure = PAPER["paper-figure4"]
    assert (figure.training.weight_decay, figure.training.milestones) == (0.0, ())
    assert (figure.data.crop_padding, figure.data.flip) == (0, False)


def test_boards_share_the_networks_that_both_need() -> None:
    table4, table5 = keys(PAPER["paper-table4-cifar10-cpu"]), keys(PAPER["paper-table5-cpu"])
    assert len(table4 & table5) == 2 * 2  # ConvNorm with and without BN, two seeds
    assert len(keys(PAPER["paper-figure6-cpu"]) & table4) == 4
    assert keys(PAPER["paper-table2-cpu"]) < keys(PAPER["paper-table9-cpu"])


def test_noise_and_subsets_are_the_papers_shares() -> None:
    for name, key, shares in (
        ("paper-table6", "label_noise", [0.2, 0.4, 0.6, 0.8]),
        ("paper-table7", "subset", [0.1, 0.3, 0.5, 0.7]),
    ):
        for board in (PAPER[name], PAPER[f"{name}-cpu"]):
            found = [getattr(row.data, key) for row in resolve(board).rows]
            assert sorted(set(found)) == shares
            assert len(found) == 16
