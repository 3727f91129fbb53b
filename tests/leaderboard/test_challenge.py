"""Adversarial images that somebody found elsewhere lower a row, and are verified like the rest."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from support import Command
from weak_board import OTHER, ROW, Weak, cell_of, only_challenge

from robench.cli.tables.challenges import challenge_lines
from robench.commands.challenge import ChallengeResult, Lowered, challenge
from robench.commands.verify import verify
from robench.errors import RobenchWarning, UserError
from robench.leaderboard.challenge.files import Challenge
from robench.leaderboard.challenge.given import read_given
from robench.leaderboard.evidence import BOARD, SUMS
from robench.leaderboard.merge import merge_boards
from robench.leaderboard.merged_folder import write_merged
from robench.leaderboard.order import ranking_notes
from robench.leaderboard.page.write import render
from robench.leaderboard.publish import publish
from robench.leaderboard.published import Leaderboard

SOURCE = "PGD with 20 steps, by hand"


def test_images_that_fool_lower_the_row_and_are_published_verified_and_shown(
    robench: Command, weak: Weak, store: list[Path]
) -> None:
    before = Leaderboard.read(weak.folder)
    assert "best_known_mean" not in before.table
    done = robench("challenge", weak.folder, "--row", ROW, "--images", weak.file(),
                   "--source", SOURCE, "--store", store[0])  # fmt: skip
    assert done.code == 0, done.err
    board = Leaderboard.read(weak.folder)
    table, was = board.table.set_index("defense"), before.table.set_index("defense")
    robust = cell_of(weak.folder).outcomes["noise"].robust
    kept = Challenge.load(only_challenge(weak.folder))
    assert kept.facts.source == SOURCE
    assert len(kept.indices) >= 3
    assert robust[kept.indices].all()  # those that had fallen before are not stored
    figure = (robust.sum() - len(kept.indices)) / len(robust)
    assert table.loc[ROW, "best_known_mean"] == pytest.approx(figure, abs=1e-6)
    assert table.loc[ROW, "best_known_low"] < figure < table.loc[ROW, "best_known_high"]
    assert table.loc[OTHER, "best_known_mean"] == was.loc[OTHER, "noise_mean"]
    assert (table["noise_mean"] == was["noise_mean"]).all()
    assert f"{len(kept.indices)} of 60 images lower its accuracy" in done.out
    checked = robench("verify", weak.folder, "--store", store[0], "--rows", "0")
    assert checked.code == 0, checked.out
    assert "1 of the challenges, by their networks" in checked.out
    without = robench("verify", weak.folder, "--rows", "0")
    assert without.code == 0
    assert f"'{ROW}', seed 0: its challenges were not predicted again" in without.out
    page = render(board)
    assert "best_known" in page
    assert SOURCE in page
    assert "best\\_known" in robench("export", weak.folder).out

    # The same again, and what it leaves, lower nothing.
    again = robench("challenge", weak.folder, "--row", ROW, "--images", weak.file(),
                    "--store", store[0])  # fmt: skip
    assert again.code == 1
    assert "No image lowers the row; nothing was recorded." in again.out
    assert only_challenge(weak.folder)


def test_images_of_8_bits_and_safetensors_are_read_and_stored_exactly(
    weak: Weak, store: list[Path]
) -> None:
    delta = weak.images - weak.clean
    pixels = np.rint(255 * weak.clean) + np.trunc(255 * delta)
    found = challenge(
        weak.folder, ROW, weak.file("found.safetensors", images=pixels.astype(np.uint8)),
        seed=0, stores=store,
    )  # fmt: skip
    assert found.lowers
    [network] = found.networks
    counts = (network.new, network.known, network.resisted, network.close)
    assert sum(counts) == network.given == 60
    kept = Challenge.load(only_challenge(weak.folder))
    assert kept.images.dtype == np.uint8
    assert (kept.images == pixels.astype(np.uint8)[kept.indices]).all()
    assert verify(weak.folder, rows="0", stores=store).sound


def test_a_board_that_is_published_again_keeps_the_challenges_of_the_same_networks(
    weak: Weak, store: list[Path], weak_board: Path
) -> None:
    challenge(weak.folder, ROW, weak.file(), stores=store)
    name = only_challenge(weak.folder)
    table = Leaderboard.read(weak.folder).table
    result = Leaderboard.read(weak_board / "weak").result
    assert publish(result, weak.folder)["best_known_mean"].to_numpy() == pytest.approx(
        table["best_known_mean"].to_numpy(), abs=1e-6
    )
    assert name.exists()
    manifest = replace(result.rows[0].cells[0])
    evidence = manifest.evidence
    assert evidence.manifest is not None
    other = evidence.manifest.model_copy(update={"weights_hash": "0" * 64})
    cells = (replace(manifest, evidence=evidence.model_copy(update={"manifest": other})),)
    rows = (replace(result.rows[0], cells=cells), *result.rows[1:])
    with pytest.warns(RobenchWarning, match="1 challenge is no longer published in .* networks"):
        assert "best_known_mean" not in publish(replace(result, rows=rows), weak.folder)
    assert not name.exists()


def test_a_second_challenge_adds_to_the_first_and_may_rank(weak: Weak, store: list[Path]) -> None:
    half = np.arange(60)
    first, second = half[:30], half[30:]
    figures = []
    for part in (first, second):
        file = weak.file(images=weak.images[part], indices=part)
        board = challenge(weak.folder, ROW, file, stores=store).leaderboard
        figures.append(board.table.set_index("defense").loc[ROW, "best_known_mean"])
    assert figures[1] < figures[0]
    assert len([*weak.folder.glob("challenges/*/*.npz")]) == 2
    evaluation = board.board.evaluation.model_copy(update={"rank_by": "best_known"})
    spec = board.board.model_copy(update={"evaluation": evaluation})
    ranked = publish(replace(board.result, board=spec), weak.folder)
    assert ranked["best_known_mean"].is_monotonic_decreasing
    [order, no_autoattack] = ranking_notes(replace(board.result, board=spec), ranked)
    assert order.startswith("The order by noise reverses 1 of 1 pair of rows of that by best_known")
    assert no_autoattack == "The worst case over this attack (noise) has no AutoAttack."
    assert verify(weak.folder, rows="0", stores=store).sound


@pytest.mark.parametrize(("changed", "message"), [
    ({"indices": np.arange(60) + 1}, "the index 60, but the board evaluates 60 images, counted"),
    ({"indices": -np.arange(60)}, "has the index -59"),
    ({"indices": np.zeros(60, int)}, "has the index 0 more than once"),
    ({"indices": np.zeros(60)}, "are float64 of shape .60,.; give one integer per image"),
    ({"indices": np.arange(59)}, "have the shape .60, 1, 8, 8., but 59 images of the board have"),
    ({"images": np.zeros((60, 8, 8, 1))}, "move the channels to the second place"),
    ({"images": np.full((60, 1, 8, 8), 1.5)}, "lie in .1.5, 1.5. but must lie in .0, 1."),
    ({"images": np.full((60, 1, 8, 8), np.nan)}, "have NaN or infinite pixels"),
    ({"images": np.full((60, 1, 8, 8), 1e300)}, "have NaN or infinite pixels"),
    ({"images": np.zeros((60, 1, 8, 8), np.int64)}, "are int64; give uint8, or floats in .0, 1."),
    ({"images": np.ones((60, 1, 8, 8))}, "is moved by 1, beyond the radius 0.1 of its linf ball"),
    ({"indices": np.zeros(0, int), "images": np.zeros((0, 1, 8, 8))}, "has no images"),
])  # fmt: skip
def test_images_that_are_none_of_the_ball_are_refused_before_anything_is_written(
    weak: Weak, store: list[Path], changed: dict[str, np.ndarray], message: str
) -> None:
    before = (weak.folder / SUMS).read_bytes()
    with pytest.raises(UserError, match=message):
        challenge(weak.folder, ROW, weak.file(**changed), stores=store)
    assert (weak.folder / SUMS).read_bytes() == before
    assert not (weak.folder / "challenges").exists()


@pytest.mark.parametrize(("options", "message"), [
    (["--row", "batchnrom"], "has no row 'batchnrom'; did you mean 'batchnorm'?"),
    (["--row", ROW, "--seed", "7"], "has no network with the seed 7; its seeds are 0"),
    (["--row", ROW, "--source", "a\nb"], "the source has the character U+000A"),
    (["--row", ROW, "--source", "<b>"], "the source has the character U+003C"),
    (["--row", ROW, "--source", "x" * 301], "the source has 301 characters; at most 300"),
    (["--row", ROW], "its weights are not here"),
    ([], "name the row with --row"),
])  # fmt: skip
def test_what_cannot_be_challenged_is_one_sentence(
    robench: Command, weak: Weak, options: list[str], message: str
) -> None:
    done = robench("challenge", weak.folder, "--images", weak.file(), *options)
    assert done.code == 2
    assert message in " ".join(done.err.split())
    assert done.err.count("\n") <= 2


def test_floats_of_8_and_16_bits_are_read(tmp_path: Path) -> None:
    kinds = (torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16, torch.float16)
    for number, kind in enumerate(kinds):
        path = tmp_path / f"{number}.safetensors"
        images = torch.full((1, 1, 8, 8), 0.5).to(kind)
        safetensors.torch.save_file({"images": images, "indices": torch.tensor([3])}, path)
        assert (read_given(path, 60, (1, 8, 8)).images == 0.5).all()


@pytest.mark.parametrize(("clean", "options", "message"), [
    ("file/clean.npz", [], "file is a file, not a folder; name another place."),
    ("folder.npz", [], "it is a folder; name a file in it."),
    ("clean.npz", ["--source", "PGD"], "leave out --row, --images, --seed and --source."),
    ("clean.npz", ["--seed", "0"], "leave out --row, --images, --seed and --source."),
])  # fmt: skip
def test_where_clean_images_cannot_be_written_is_said_of_the_option_that_names_it(
    robench: Command, weak: Weak, clean: str, options: list[str], message: str
) -> None:
    (weak.folder.parent / "file").touch()
    (weak.folder.parent / "folder.npz").mkdir()
    done = robench("challenge", weak.folder, "--clean", weak.folder.parent / clean, *options)
    assert done.code == 2
    assert done.err.startswith("robench: --clean ")
    assert message in " ".join(done.err.split())


def test_what_is_printed_counts_one_image_and_a_row_without_figures(weak: Weak) -> None:
    network = Lowered(0, given=3, new=1, known=2, resisted=0, close=0, before=0.5, after=0.25)
    board = Leaderboard.read(weak.folder)
    figures = pd.DataFrame({"defense": [ROW], "best_known_mean": [float("nan")]})
    board.__dict__["table"] = figures
    lines = [*challenge_lines(ChallengeResult(board, ROW, (network,)))]
    assert lines[0] == (
        f"'{ROW}', seed 0: 1 of 3 images lowers its accuracy from 50.0% to 25.0% (others: 2 of "
        f"images on which it was not robust)."
    )
    assert f"best_known of '{ROW}': none, since a network of it diverged; wrote" in lines[1]


@pytest.mark.parametrize("name", ["found.pt", "missing.npz", "broken.npz", "broken.safetensors"])
def test_a_file_that_holds_no_images_is_refused(weak: Weak, store: list[Path], name: str) -> None:
    path = weak.folder.parent / name
    if not name.startswith("missing"):
        path.write_bytes(b"PK\3\4 nothing")
    with pytest.raises(UserError, match=name):
        challenge(weak.folder, ROW, path, stores=store)


def test_a_board_without_ball_cannot_be_challenged(weak: Weak, store: list[Path]) -> None:
    path = weak.folder / BOARD
    path.write_text(path.read_text().replace('"rank_by": "noise"', '"rank_by": "clean"'))
    with pytest.raises(UserError, match="is ranked by clean, which has no Linf or L2 ball"):
        challenge(weak.folder, ROW, weak.file(), stores=store)


def test_merged_boards_have_the_challenges_of_both(weak: Weak, store: list[Path]) -> None:
    boards = [weak.folder, Path(shutil.copytree(weak.folder, weak.folder.parent / "other"))]
    for folder, part in zip(boards, (slice(0, 40), slice(20, 60)), strict=True):
        file = weak.file(images=weak.images[part], indices=np.arange(60)[part])
        challenge(folder, ROW, file, stores=store)
    merged = weak.folder.parent / "merged"
    _, table = write_merged([Leaderboard.read(folder) for folder in boards], merged)
    figures = [Leaderboard.read(folder).table.set_index("defense") for folder in boards]
    lowest = min(figure.loc[ROW, "best_known_mean"] for figure in figures)
    assert table.set_index("defense").loc[ROW, "best_known_mean"] < lowest
    assert len([*merged.glob("challenges/*/*.npz")]) == 2
    assert verify(merged, rows="0", stores=store).sound


def test_a_merged_network_keeps_its_challenges_if_outcomes_differ_with_the_machine(
    weak: Weak, store: list[Path]
) -> None:
    before = Leaderboard.read(weak.folder)
    challenge(weak.folder, ROW, weak.file(), stores=store)
    first = before.cells[0]
    assert first.row == ROW
    assert first.file.manifest is not None
    outcomes = {
        key: entry.model_copy(update={"outcomes_hash": "0" * 64})
        for key, entry in first.file.manifest.outcomes.items()
    }
    manifest = first.file.manifest.model_copy(update={"outcomes": outcomes})
    file = first.file.model_copy(update={"manifest": manifest})
    elsewhere = replace(before, cells=(replace(first, file=file), *before.cells[1:]))
    with pytest.warns(RobenchWarning, match="has other weights or outcomes"):
        merged = merge_boards([elsewhere, Leaderboard.read(weak.folder)])
    assert [path.name for path in merged.rows[0].cells[0].challenges] == [
        only_challenge(weak.folder).name
    ]
