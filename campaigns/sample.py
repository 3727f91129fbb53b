"""A small board that was really run, as campaigns need it: published, with weights, and submitted.

Its networks have two convolutions, so that all of its attacks and checks take about a second. It
has everything that a published board can have: two defenses with two seeds each, a third-party
network, a backbone whose code is published with it, checks and spectra.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from campaigns.networks import third_party
from robench.board.board import Board
from robench.board.loading import read_board
from robench.data import load_dataset
from robench.leaderboard.bundle import bundle_of
from robench.leaderboard.merge import merge_boards
from robench.leaderboard.merged_folder import merged_bundle, network_files
from robench.leaderboard.publish import publish
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.submission import external_submission, write_submission
from robench.plugins import load_plugin
from robench.runs.run import run_board

PLUGIN = Path(__file__).with_name("networks") / "two_convs.py"
"""The code of the backbone; campaigns load it as a reviewer who has read it does."""

BOARD = """
title = "sample"
defenses = ["batchnorm", "convnorm"]
seeds = [0, 1]

[data]
name = "digits"

[model]
name = "two_convs"
width = 4

[training]
epochs = 3
milestones = [1, 2]
replays = 2
eps = 0.1
step_size = 0.1

[evaluation]
attacks = ["fgsm", "pgd-5", "simba(samples=40, max_steps=20)"]
samples = 100
rank_by = "pgd-5"
check_samples = 10
spectra = true

[evaluation.defaults]
eps = 0.1
step_size = 0.05
"""


SMALL = """
title = "small"
defenses = ["batchnorm", "convnorm"]

[data]
name = "digits"

[model]
name = "two_convs"
width = 4

[training]
epochs = 1

[evaluation]
attacks = ["fgsm"]
samples = 20
checks = false

[evaluation.defaults]
eps = 0.1
"""

SATURATION = 1e4
"""Factor of the third-party network's logits: its loss has no gradient, so that it is flagged."""


@dataclass(frozen=True)
class Sample:
    """The folders of the sample.

    Attributes:
        board: the board with its two own rows, as ``robench run`` publishes it, without weights.
        submission: all rows with weights, code and README, as ``robench submit`` writes it.
        store: the run store with the weights.
    """

    board: Path
    submission: Path
    store: Path


def sample(root: Path) -> Sample:
    """Return the sample below ``root``; it is made if it is not there, in about 20 seconds.

    Raises:
        UserError: if ``root`` cannot be written.
    """
    torch.set_num_threads(1)
    load_plugin(PLUGIN)
    made = Sample(root / "sample", root / "submission", root)
    if not made.submission.exists():
        _make(made)
    return made


def small_board(root: Path) -> Path:
    """Return the folder of a board of few bytes, without weights; it is made if it is not there.

    Raises:
        UserError: if ``root`` cannot be written.
    """
    torch.set_num_threads(1)
    load_plugin(PLUGIN)
    folder = root / "small"
    if not folder.exists():
        root.mkdir(parents=True, exist_ok=True)
        text = root / "small.toml"
        text.write_text(SMALL)
        board = read_board(text)
        publish(run_board(board, out=root), folder, bundle_of(board))
    return folder


def _make(made: Sample) -> None:
    made.store.mkdir(parents=True, exist_ok=True)
    text = made.store / "sample.toml"
    text.write_text(BOARD)
    board = read_board(text)
    bundle = bundle_of(board)
    publish(run_board(board, out=made.store), made.board, bundle)
    third = made.store / "third"
    _third_party(board, made.store / "third.pt", third)
    boards = [Leaderboard.read(made.board), Leaderboard.read(third)]
    merged = made.store / "merged"
    publish(merge_boards(boards), merged, merged_bundle(boards), network_files(boards))
    whole = Leaderboard.read(merged)
    write_submission(whole, whole.board.titles, made.submission, [made.store])


def _third_party(board: Board, weights: Path, folder: Path) -> None:
    """Train the third-party network a little, outside of robench, and submit it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = third_party.build()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(5):
            for images, labels in load_dataset("digits").train.batches(64):
                optimizer.zero_grad()
                cross_entropy(model(images), labels).backward()
                optimizer.step()
    with torch.no_grad():
        for value in model[-1].parameters():
            value.mul_(SATURATION)
    torch.save(model.state_dict(), weights)
    of_one_seed = board.model_copy(update={"seeds": board.seeds[:1]})
    code = Path(third_party.__file__)
    external_submission("third-party", f"{code}:build", weights, of_one_seed, folder)
