"""Adversarial images that somebody found elsewhere lower a row, and are verified like the rest."""

import json
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from published_board import BOARD
from support import Command, shared_folder
from torch.nn.functional import cross_entropy

from robench.board.loading import read_board
from robench.commands.challenge import challenge, write_clean
from robench.commands.verify import verify
from robench.errors import UserError
from robench.leaderboard.challenge.files import Challenge, challenge_name
from robench.leaderboard.challenge.record import add_challenges
from robench.leaderboard.evidence import BOARD as BOARD_JSON
from robench.leaderboard.evidence import SUMS, read_sums, write_sums
from robench.leaderboard.page.write import render
from robench.leaderboard.publish import publish
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.leaderboard.rerun import RerunOptions
from robench.leaderboard.rerun.network import opened_network
from robench.leaderboard.rerun.run import board_images
from robench.leaderboard.rerun.weights import find_weights
from robench.runs.run import run_board

ROW, OTHER = "batchnorm", "convnorm"
SOURCE = "PGD with 20 steps, by hand"

WEAK = BOARD.replace('"fgsm", "pgd-2", "pgd-4", "simba(samples=6, max_steps=8)"', '"noise"')
WEAK = WEAK.replace('"pgd-4"', '"noise"').replace("check_samples = 20", "checks = false")
"""Ranked by noise alone, which leaves much for others to find."""


@dataclass(frozen=True)
class Weak:
    """The board, and adversarial images of its evaluation's images against one row."""

    folder: Path
    images: np.ndarray
    labels: np.ndarray
    clean: np.ndarray

    def file(self, name: str = "found.npz", **changed: np.ndarray) -> Path:
        """Write a file of images beside the board."""
        path = self.folder.parent / name
        arrays = {"images": self.images, "indices": np.arange(len(self.images)), **changed}
        if path.suffix == ".npz":
            np.savez(path, **arrays)
        else:
            safetensors.numpy.save_file(arrays, path)
        return path


@pytest.fixture(scope="session")
def weak_board(finished_board: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``cells``, ``weak`` and ``adversarial.npz``: images that PGD finds against the first row."""
    with shared_folder("weak_board", tmp_path_factory) as (root, is_new):
        if is_new:
            root.mkdir()
            shutil.copytree(finished_board / "cells", root / "cells")
            (root / "weak.toml").write_text(WEAK)
            publish(run_board(read_board(root / "weak.toml"), out=root), root / "weak")
            write_clean(root / "weak", root / "clean.npz")
            clean = dict(np.load(root / "clean.npz"))
            np.savez(root / "adversarial.npz", images=attacked(root, **clean), **renamed(clean))
    return root


def renamed(clean: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"clean": clean["images"], "labels": clean["labels"]}


def attacked(root: Path, images: np.ndarray, labels: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return what 20 steps of PGD find against the first row, in the ball of the board."""
    board, options = Leaderboard.read(root / "weak"), RerunOptions()
    cell = next(cell for cell in board.cells if cell.row == ROW)
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    found = x.clone()
    weights, dataset = find_weights(board.folder, cell, []), board_images(board, None, None)
    with opened_network(board, cell, weights, dataset, options) as (model, _):
        assert model is not None
        model.eval()
        for _ in range(20):
            at = found.clone().requires_grad_()
            cross_entropy(model(at), y, reduction="sum").backward()
            assert at.grad is not None
            found = x + (found + 0.02 * at.grad.sign() - x).clamp(-0.1, 0.1)
            found = found.clamp(0, 1)
    return found.numpy()


@pytest.fixture
def weak(weak_board: Path, tmp_path: Path) -> Weak:
    """A copy of the board that a test may change."""
    shutil.copytree(weak_board / "weak", tmp_path / "weak")
    known = np.load(weak_board / "adversarial.npz")
    return Weak(tmp_path / "weak", known["images"], known["labels"], known["clean"])


@pytest.fixture
def store(weak_board: Path) -> list[Path]:
    """The stores that have the weights."""
    return [weak_board]


def cell_of(folder: Path, row: str = ROW) -> PublishedCell:
    return next(cell for cell in Leaderboard.read(folder).cells if cell.row == row)


def only_challenge(folder: Path) -> Path:
    [path] = folder.glob("challenges/*/*.npz")
    return path


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


@pytest.mark.parametrize("name", ["found.pt", "missing.npz", "broken.npz", "broken.safetensors"])
def test_a_file_that_holds_no_images_is_refused(weak: Weak, store: list[Path], name: str) -> None:
    path = weak.folder.parent / name
    if not name.startswith("missing"):
        path.write_bytes(b"PK\3\4 nothing")
    with pytest.raises(UserError, match=name):
        challenge(weak.folder, ROW, path, stores=store)


def forged(weak: Weak, store: list[Path], **changed: object) -> Path:
    """Publish a challenge with other facts, indices or images, with all sums and tables right."""
    challenge(weak.folder, ROW, weak.file(), stores=store)
    path = only_challenge(weak.folder)
    real = Challenge.load(path)
    facts = {k: v for k, v in changed.items() if k in type(real.facts).model_fields}
    arrays = {k: v for k, v in changed.items() if k not in facts}
    forgery = replace(real, facts=real.facts.model_copy(update=facts), **arrays)  # type: ignore[arg-type]
    names = [name for name in read_sums(weak.folder) if not name.startswith("challenges/")]
    path.unlink()
    write_sums(weak.folder, [weak.folder / name for name in names])
    add_challenges(weak.folder, {cell_of(weak.folder).file.cell.key: forgery})
    return weak.folder


@pytest.mark.parametrize(("changed", "message"), [
    ({"images": np.ones((2, 1, 8, 8), np.float32), "indices": np.array([3, 5])},
     "beyond the radius 0.1 of its linf ball, and 1 more leave it as well"),
    ({"images": np.ones((1, 3, 8, 8), np.uint8), "indices": np.array([3])},
     r"has images of the shape \(3, 8, 8\), but those of the data are \(1, 8, 8\)"),
    ({"images": np.ones((1, 1, 8, 8), np.uint8), "indices": np.array([60])},
     "has the index 60, but the board evaluates 60 images"),
    ({"weights_hash": "0" * 64}, "is a challenge of other weights than those of the manifest"),
    ({"eps": 0.2}, "is of another threat model than the board's"),
    ({"norm": "l2"}, "is of another threat model than the board's"),
])  # fmt: skip
def test_a_forged_challenge_is_found_also_without_weights(
    weak: Weak, store: list[Path], changed: dict[str, object], message: str
) -> None:
    found = verify(forged(weak, store, **changed), rows="0")
    assert not found.sound
    problems = [*found.problems, *(found.rerun.problems if found.rerun else ())]
    assert len(problems) == 1
    assert re.search(message, problems[0])


def test_an_image_that_does_not_fool_is_found_where_the_weights_are(
    weak: Weak, store: list[Path]
) -> None:
    robust = np.flatnonzero(cell_of(weak.folder).outcomes["noise"].robust)[:3]
    folder = forged(weak, store, images=weak.clean[robust], indices=robust)
    without = verify(folder, rows="0")
    assert without.sound
    assert any("its challenges were not predicted again" in text for text in without.unchecked)
    found = verify(folder, rows="0", stores=store)
    assert found.rerun is not None
    [problem] = found.rerun.problems
    assert f"the image with the index {robust[0]} does not fool the network, and neither do 2" in (
        problem
    )


@pytest.mark.parametrize(("arrays", "message"), [
    ({"indices": np.array([5, 5])}, "one is negative or there twice"),
    ({"indices": np.array([-1, 5])}, "one is negative or there twice"),
    ({"indices": np.array([1.0, 5.0])}, "its indices are not a list of int64"),
    ({"images": np.full((2, 1, 8, 8), 2, np.float32)}, "its images leave"),
    ({"images": np.full((2, 1, 8, 8), np.nan, np.float32)}, "its images leave"),
    ({"images": np.zeros((3, 1, 8, 8), np.uint8)}, "its images are not one uint8 or float32"),
    ({"images": np.array([{}, 1], object)}, "holds Python objects"),
    ({"about": np.frombuffer(b"{}", np.uint8)}, "of its array 'about' is wrong"),
    ({"more": np.zeros(1)}, "it has more than 3 members"),
])  # fmt: skip
def test_what_is_no_challenge_is_a_sentence_of_verify(
    weak: Weak, arrays: dict[str, np.ndarray], message: str
) -> None:
    cell = cell_of(weak.folder)
    assert cell.file.manifest is not None
    about = {"weights_hash": cell.file.manifest.weights_hash, "norm": "linf", "eps": 0.1}
    text = json.dumps({**about, "source": ""}).encode()
    good = {
        "about": np.frombuffer(text, np.uint8),
        "indices": np.array([3, 5]),
        "images": np.zeros((2, 1, 8, 8), np.uint8),
    }
    path = weak.folder / challenge_name(cell.file.cell.key, b"")
    path.parent.mkdir(parents=True)
    np.savez(path, **(good | arrays))
    names = [*read_sums(weak.folder), path.relative_to(weak.folder).as_posix()]
    write_sums(weak.folder, [weak.folder / name for name in names])
    problems = verify(weak.folder, rows="0").problems
    assert len(problems) == 1
    assert re.search(message, problems[0]), problems


def test_a_file_of_no_cell_and_one_without_checksum_are_found(weak: Weak) -> None:
    stray = weak.folder / "challenges" / ("0" * 16) / f"{'1' * 16}.npz"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"")
    name = stray.relative_to(weak.folder).as_posix()
    assert f"{name} is not in SHA256SUMS." in verify(weak.folder, rows="0").problems
    write_sums(weak.folder, [weak.folder / n for n in [*read_sums(weak.folder), name]])
    assert f"{name} belongs to no cell." in verify(weak.folder, rows="0").problems


def test_a_board_without_ball_cannot_be_challenged(weak: Weak, store: list[Path]) -> None:
    path = weak.folder / BOARD_JSON
    path.write_text(path.read_text().replace('"rank_by": "noise"', '"rank_by": "clean"'))
    with pytest.raises(UserError, match="is ranked by clean, which has no Linf or L2 ball"):
        challenge(weak.folder, ROW, weak.file(), stores=store)
