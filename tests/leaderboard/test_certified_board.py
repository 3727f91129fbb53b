"""A board with certificates: its figures follow from the radii, and a false proof is found."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from forging import edit_outcomes, forge, made_consistent
from published_board import Published
from support import Command, shared_folder

from robench.board.loading import read_board
from robench.data.load import load_dataset
from robench.errors import UserError
from robench.evaluation import Outcomes
from robench.leaderboard.audit import audit
from robench.leaderboard.certified import ROUNDED, refuted
from robench.leaderboard.challenge.files import Challenge, ChallengeFacts
from robench.leaderboard.challenge.record import add_challenges
from robench.leaderboard.page.certified_chart import accuracy_against_radius
from robench.leaderboard.page.write import render
from robench.leaderboard.publish import publish
from robench.leaderboard.published import Leaderboard
from robench.runs.attack_cell import evaluation_images
from robench.runs.run import cell_jobs, prepared, run_board
from robench.tracking.pictures import draw_cell

BOARD = """
title = "certified"
defenses = ["cayley(bn=false)", "groupnorm"]
seeds = [0]
baseline = "groupnorm"

[data]
name = "digits"
subset = 0.5

[model]
name = "lipschitz_convnet(blocks=2, depth=1)"
width = 4

[training]
method = "standard"
epochs = 2

[evaluation]
attacks = ["pgd-4", "certified(radius=0.02)", "certified(radius=0.3)"]
samples = 60
rank_by = "certified(radius=0.02)"
checks = false
defaults = { norm = "l2", eps = 0.3, step_size = 0.1 }
"""
NEAR, FAR = "certified(radius=0.02)", "certified(radius=0.3)"
CAYLEY = "cayley(bn=false)"


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with shared_folder("certified_board", tmp_path_factory) as (root, is_new):
        if is_new:
            root.mkdir()
            (root / "tiny.toml").write_text(BOARD)
            publish(run_board(read_board(root / "tiny.toml"), out=root), root / "tiny")
    return root / "tiny"


@pytest.fixture
def folder(certified: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(certified, tmp_path / "tiny"))


def outcomes(folder: Path, column: str, row: str = CAYLEY) -> Outcomes:
    cell = next(cell for cell in Leaderboard.read(folder).cells if cell.row == row)
    return cell.outcomes[column]


def test_its_columns_follow_from_the_radii(certified: Path) -> None:
    board = Leaderboard.read(certified)
    row = board.table.set_index("defense").loc[CAYLEY]
    radii = outcomes(certified, NEAR).l2
    assert row["mean_radius"] == pytest.approx(radii.mean(), rel=1e-5)
    assert row[f"{NEAR}_mean"] == pytest.approx((radii >= 0.02).mean(), abs=1e-6)
    assert row[f"{NEAR}_mean"] > 0 == row["unsound"]
    assert row["lipschitz"] > 0
    assert row["rank"] == 1, "certified accuracy can rank"


def test_a_network_without_a_proof_says_which_layer_has_none(certified: Path) -> None:
    board = Leaderboard.read(certified)
    row = board.table.set_index("defense").loc["groupnorm"]
    assert row["flags"] == "unproved"
    assert np.isnan(row["lipschitz"])
    assert row[f"{NEAR}_mean"] == 0
    assert "no bound is proved for a GroupNorm" in render(board)


def test_only_certificates_are_said_to_prove(certified: Path) -> None:
    columns = json.loads((certified / "board.json").read_text())["columns"]
    assert columns[NEAR]["proves"] == ["l2", 0.02]
    assert "proves" not in columns["pgd-4"]


def test_verify_proves_again(certified: Path, robench: Command) -> None:
    result = robench("verify", str(certified), "--rows", "2", "--store", str(certified.parent))
    assert result.code == 0, result.out


def test_verify_finds_a_constant_that_is_not_the_network_s(
    certified: Path, folder: Path, robench: Command
) -> None:
    def smaller(values: dict) -> None:  # type: ignore[type-arg]
        for entry in values["manifest"]["outcomes"].values():
            if "lipschitz" in entry:
                entry["lipschitz"] *= 0.99

    forge(Published(folder, folder.parent), smaller, "manifests/cayley*")
    assert not audit(Leaderboard.read(folder))
    result = robench("verify", str(folder), "--rows", "2", "--store", str(certified.parent))
    assert result.code == 1
    assert f"{NEAR}: the Lipschitz constant is" in result.out


def test_verify_finds_radii_that_are_too_large(
    certified: Path, folder: Path, robench: Command
) -> None:
    for column, radius in ((NEAR, 0.02), (FAR, 0.3)):
        found = outcomes(folder, column)
        larger = np.where(found.correct, found.l2 * np.float32(1.5), 0).astype(np.float32)
        robust = found.correct & (larger >= radius)
        edit_outcomes(folder, CAYLEY, column, l2=larger, robust=robust, rounded=robust)
    made_consistent(folder)
    result = robench("verify", str(folder), "--rows", "2", "--store", str(certified.parent))
    assert result.code == 1, result.out
    assert "not reproduced" in result.out


def test_an_unsound_proof_is_found_from_the_outcomes_alone(folder: Path) -> None:
    pgd = outcomes(folder, "pgd-4")
    fooled = pgd.fooled
    assert fooled.any()
    for column in (NEAR, FAR):
        larger = np.where(pgd.correct, 2, 0).astype(np.float32)
        edit_outcomes(folder, CAYLEY, column, l2=larger, robust=pgd.correct, rounded=pgd.correct)
    board = Leaderboard.read(made_consistent(folder))
    row = board.table.set_index("defense").loc[CAYLEY]
    assert row["unsound"] == fooled.sum()
    assert "unsound" in row["flags"]
    assert any(
        f"an attack fooled {fooled.sum()} image(s) within their certified radius" in problem
        for problem in audit(board)
    )


def test_the_audit_compares_radii_with_what_is_counted(folder: Path) -> None:
    found = outcomes(folder, FAR)
    edit_outcomes(folder, CAYLEY, FAR, robust=found.correct, rounded=found.correct)
    problems = audit(Leaderboard.read(made_consistent(folder)))
    assert any("images are counted as certified that have no radius of 0.3" in p for p in problems)


def test_the_audit_compares_the_radii_of_columns(folder: Path) -> None:
    found = outcomes(folder, FAR)
    smaller = (found.l2 * np.float32(0.5)).astype(np.float32)
    robust = found.correct & (smaller >= 0.3)
    edit_outcomes(folder, CAYLEY, FAR, l2=smaller, robust=robust, rounded=robust)
    problems = audit(Leaderboard.read(made_consistent(folder)))
    assert any(f"the certified radii are not those of {NEAR}" in problem for problem in problems)


def test_an_attack_that_is_declared_a_proof_is_found(folder: Path) -> None:
    forge(
        Published(folder, folder.parent),
        lambda values: values["columns"]["pgd-4"].update(proves=["l2", 0.3]),
        "board.json",
    )
    problems = audit(Leaderboard.read(made_consistent(folder)))
    assert "board.json is wrong about what pgd-4 proves." in problems


def test_the_chart_has_certified_and_attacked_accuracy(certified: Path) -> None:
    board = Leaderboard.read(certified)
    chart = accuracy_against_radius(board)
    assert chart is not None
    assert chart["marked"] == [0.02, 0.3]
    points = chart["curves"][list(board.table["defense"]).index(CAYLEY)]
    shares = [share for _, share, _ in points]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == pytest.approx(outcomes(certified, "clean").accuracy, abs=1e-6)
    attacked = {radius: share for radius, _, share in points if share is not None}
    assert attacked == {0.3: pytest.approx(outcomes(certified, "pgd-4").accuracy, abs=1e-6)}
    assert 'id="chart-certified"' in render(board)
    assert "L2 36/255 does not cover Linf 8/255" in render(board)


def test_a_board_without_certificates_has_no_such_columns(finished_board: Path) -> None:
    board = Leaderboard.read(finished_board / "tiny")
    assert not {"mean_radius", "lipschitz", "unsound"} & {*board.table}
    assert accuracy_against_radius(board) is None
    assert 'id="chart-certified"' not in render(board)


def test_trackers_get_no_picture_of_a_certificate_that_ranks(
    certified: Path, tmp_path: Path
) -> None:
    board = read_board(certified.parent / "tiny.toml")
    plan, ctx = prepared(board, certified.parent, None, None, None)
    assert not draw_cell(cell_jobs(plan, ctx)[0].cell, ctx, tmp_path / "images.png")


def test_a_strict_board_refuses_what_is_not_proved(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(BOARD.replace("checks = false", "strict = true"))
    with pytest.raises(UserError, match=r"strict, but .* proves nothing of 'groupnorm': layer"):
        run_board(read_board(tmp_path / "tiny.toml"), out=tmp_path)
    assert not [*tmp_path.glob("cells/*/training.csv")]


def test_a_strict_board_without_a_certificate_is_refused(tmp_path: Path) -> None:
    text = BOARD.replace("checks = false", "strict = true").replace(f', "{NEAR}", "{FAR}"', "")
    (tmp_path / "tiny.toml").write_text(text.replace(NEAR, "pgd-4"))
    with pytest.raises(UserError, match="no certificate is among the attacks; add 'certified'"):
        run_board(read_board(tmp_path / "tiny.toml"), out=tmp_path)


def test_verify_finds_large_radii_that_move_no_column_and_look_like_rounding(
    certified: Path, folder: Path, robench: Command
) -> None:
    for column in (NEAR, FAR):
        found = outcomes(folder, column)
        counted = np.arange(len(found)) % 3 == 0  # few, beside many that look like rounding
        other = np.where(counted & (found.l2 >= 0.02), 0.29, found.l2 * np.float32(1 + 2e-6))
        edit_outcomes(folder, CAYLEY, column, l2=other.astype(np.float32))
        assert (outcomes(folder, column).robust == found.robust).all()
    made_consistent(folder)
    result = robench("verify", str(folder), "--rows", "2", "--store", str(certified.parent))
    assert result.code == 1, result.out
    assert "not reproduced" in result.out


def test_lengths_that_rounding_makes_smaller_than_a_radius_refute_nothing(folder: Path) -> None:
    clean, pgd, proved = (outcomes(folder, name) for name in ("clean", "pgd-4", NEAR))
    for beyond, count in ((ROUNDED / 2, 0), (2 * ROUNDED, int(pgd.fooled.sum()))):
        radii = np.where(pgd.fooled, pgd.l2 + np.float32(beyond), proved.l2).astype(np.float32)
        attacked = {"clean": clean, "pgd-4": pgd, NEAR: replace(proved, l2=radii)}
        columns = {name: Leaderboard.read(folder).columns[name] for name in attacked}
        assert refuted(attacked, columns).sum() == count


def test_verify_holds_challenges_against_the_radii(
    certified: Path, folder: Path, robench: Command
) -> None:
    def ranked_by_an_attack(values: dict) -> None:  # type: ignore[type-arg]
        values["board"]["evaluation"]["rank_by"] = "pgd-4"

    forge(Published(folder, folder.parent), ranked_by_an_attack, "board.json")
    cell = next(cell for cell in Leaderboard.read(folder).cells if cell.row == CAYLEY)
    radii = outcomes(folder, NEAR).l2
    index = int(radii.argmax())
    images = evaluation_images(load_dataset("digits"), 60).images
    assert cell.file.manifest is not None
    facts = ChallengeFacts(
        weights_hash=cell.file.manifest.weights_hash, norm="l2", eps=0.3, source=""
    )
    challenge = Challenge(facts, np.array([index]), images[index : index + 1].numpy())
    add_challenges(folder, {cell.file.cell.key: challenge})
    result = robench("verify", str(folder), "--rows", "0", "--store", str(certified.parent))
    assert result.code == 1, result.out
    assert f"1 of its images are nearer than the certified radius of {NEAR}" in result.out
