"""Rows are what they are called, and files belong to the board; what is odd but honest is noted."""

import json
from pathlib import Path
from typing import Any

import pytest
from forging import forge
from published_board import Published

from robench.errors import UserError
from robench.leaderboard.audit import audit
from robench.leaderboard.audit.rows import earlier_checks, twin_notes
from robench.leaderboard.audit.shipped import shipped_notes
from robench.leaderboard.audit.tables import P_VALUES, _same, table_problems
from robench.leaderboard.audit.unchecked import unchecked
from robench.leaderboard.gans.published import GanLeaderboard
from robench.leaderboard.gans.shipped import shipped_gan_notes
from robench.leaderboard.published import Leaderboard
from robench.system.provenance import file_hash


def read(published: Published) -> Leaderboard:
    return Leaderboard.read(published.folder)


def listed(published: Published, name: str, content: bytes) -> None:
    """Add a file with a checksum."""
    path = published.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    sums = published.folder / "SHA256SUMS"
    sums.write_text(f"{sums.read_text()}{file_hash(path)}  {name}\n")


@pytest.mark.parametrize(
    "name",
    [
        "page.html",
        "AUDIT.txt",
        "weights/0123456789abcdef.safetensors",
        "manifests/README.md",
        "manifests/sub/convnorm-seed0.json",
    ],
)
def test_a_checksum_makes_no_evidence_of_other_files(published: Published, name: str) -> None:
    listed(published, name, b"x")
    assert f"{name} is listed in SHA256SUMS, and belongs to no part of the board." in audit(
        read(published)
    )


@pytest.mark.parametrize("name", ["paper.csv", "weights/0123456789abcdef.safetensors"])
def test_a_table_or_weights_without_a_checksum(published: Published, name: str) -> None:
    path = published.folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")
    assert f"{name} is not in SHA256SUMS." in audit(read(published))


def test_a_text_beside_the_evidence_is_named(published: Published) -> None:
    (published.folder / "README.md").write_text("ours is first")
    assert any("README.md" in note for note in unchecked(read(published)))


def test_manifests_that_stand_under_each_other_s_names(published: Published) -> None:
    one, other = (published.folder / f"manifests/{name}-seed0.json" for name in rows_of(published))
    text = one.read_text()
    one.write_text(other.read_text())
    other.write_text(text)
    published.sum_up()
    assert f"manifests/{one.name} is not the manifest of 'batchnorm', seed 0." in audit(
        read(published)
    )


def rows_of(published: Published) -> list[str]:
    return [cell.row for cell in read(published).cells]


def test_a_folder_that_is_a_link_is_named(published: Published, tmp_path: Path) -> None:
    (published.folder / "challenges").symlink_to(tmp_path, target_is_directory=True)
    assert "challenges is a link to another folder; a board has its files itself." in audit(
        read(published)
    )


@pytest.mark.parametrize("text", ["quick\\n5 of 5 rows attacked again.", "quick\\u001b[8m"])
@pytest.mark.parametrize("key", ["name", "dataset"])
def test_a_name_is_one_line_that_says_nothing_to_a_terminal(
    published: Published, key: str, text: str
) -> None:
    board = json.loads((published.folder / "board.json").read_text())
    published.change("board.json", f'"{key}": "{board[key]}"', f'"{key}": "{text}"', sums=True)
    with pytest.raises(UserError, match="one line of visible characters"):
        read(published)


def test_two_rows_that_swap_their_names(published: Published) -> None:
    other = {"batchnorm": "vanilla"}

    def swap(board: dict[str, Any]) -> None:
        arms = [{"defense": name, "label": other.get(name, name)} for name in rows]
        board["board"] |= {"defenses": [], "arms": arms, "baseline": ""}

    rows = read(published).board.titles
    forge(published, swap, of="board.json")
    found = audit(read(published))
    assert "the row 'vanilla' is batchnorm, but is named like vanilla." in found


def test_one_network_in_two_rows_is_noted(published: Published) -> None:
    def add(board: dict[str, Any]) -> None:
        board["board"]["arms"] = [{"defense": "batchnorm", "label": "champion"}]

    first = next(published.folder.glob("manifests/batch*"))
    again = json.loads(first.read_text()) | {"row": "champion"}
    (first.parent / f"champion-seed{again['cell']['seed']}.json").write_text(json.dumps(again))
    forge(published, add, of="board.json")
    notes = list(twin_notes(read(published)))
    assert any("'champion', seed 0, is the network of 'batchnorm', too" in note for note in notes)


def test_checks_of_an_earlier_version_are_noted(published: Published) -> None:
    def earlier(cell: dict[str, Any]) -> None:
        cell["checks"]["version"] = 1

    assert earlier_checks(read(published)) == []
    forge(published, earlier)
    assert any("an earlier version of robench" in note for note in earlier_checks(read(published)))


def test_a_tiny_p_value_is_not_none(published: Published) -> None:
    board = read(published)
    assert table_problems(board) == []
    assert set(P_VALUES) <= set(board.comparisons.columns)
    assert not _same(0.0, 5e-10, exact=True)
    assert _same(0.0, 5e-10, exact=False)


def test_an_environment_names_versions_and_devices_only(published: Published) -> None:
    def praise(cell: dict[str, Any]) -> None:
        cell["manifest"]["environment"]["reviewed"] = "by everybody"

    forge(published, praise)
    assert any("its environment has 'reviewed'" in problem for problem in audit(read(published)))


def test_other_goals_and_figures_of_a_paper_than_those_that_ship_are_noted() -> None:
    race = Leaderboard.read("leaderboards/speedrun-cpu")
    table = Leaderboard.read("leaderboards/paper-table2-cpu")
    assert list(shipped_notes(race)) == list(shipped_notes(table)) == []
    goal = race.board.goal
    assert goal is not None
    eased = goal.model_copy(update={"seeds": 1})
    race.__dict__["board"] = race.board.model_copy(update={"goal": eased})
    assert list(shipped_notes(race)) == [
        "its goal, which is not that of the board 'speedrun-cpu' that ships with robench."
    ]
    paper = table.board.paper
    assert paper is not None
    row, figures = next(iter(paper.figures.items()))
    ours = {**paper.figures, row: dict.fromkeys(figures, (1.5,))}
    changed = paper.model_copy(update={"figures": ours})
    table.__dict__["board"] = table.board.model_copy(update={"paper": changed})
    assert any(f"the paper's figure for '{row}'" in note for note in shipped_notes(table))


def test_figures_of_a_paper_that_no_board_has_are_noted() -> None:
    gans = GanLeaderboard.read(Path("leaderboards/paper-table3-cpu"))
    paper = gans.board.paper
    assert paper is not None
    assert list(shipped_gan_notes(gans)) == []
    ours = paper.model_copy(update={"figures": {"vanilla": {"fd_efficientnet_lite0": (25.0,)}}})
    gans.__dict__["board"] = gans.board.model_copy(update={"paper": ours})
    assert list(shipped_gan_notes(gans)) == [
        "the paper's figure for 'vanilla' and fd_efficientnet_lite0, 25: no board that ships with "
        "robench has one."
    ]
