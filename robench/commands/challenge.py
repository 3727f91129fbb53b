"""``robench challenge``: lower a row of a published board by adversarial images found elsewhere."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import numpy as np
import torch

from robench.base import ThreatModel
from robench.data import DataSet, Images
from robench.errors import UserError, did_you_mean
from robench.evaluation import Outcomes
from robench.leaderboard.challenge.files import (
    LARGEST,
    Challenge,
    ChallengeFacts,
    check_source,
    exact,
)
from robench.leaderboard.challenge.fooling import fools, outside
from robench.leaderboard.challenge.given import GivenImages, read_given
from robench.leaderboard.challenge.record import add_challenges
from robench.leaderboard.merged_folder import check_files
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.leaderboard.rerun import RerunKeywords, RerunOptions
from robench.leaderboard.rerun.challenges import usable_weights
from robench.leaderboard.rerun.network import opened_network
from robench.leaderboard.rerun.run import board_images
from robench.leaderboard.row import lowered, worst_case_attacks
from robench.leaderboard.trust import trusted_code
from robench.runs.attack_cell import evaluation_images
from robench.system.files import write_bytes


@dataclass(frozen=True)
class Lowered:
    """What images do to one network of a row; every image given counts in one of the numbers.

    Attributes:
        seed: the seed of the network.
        given: how many images were given.
        new: how many of them fool it where it was robust before: they lower its figure.
        known: how many are of images on which it was not robust before.
        resisted: how many do not fool it.
        close: how many fool it by less than rounding on another device may change.
        before: its accuracy before.
        after: its accuracy now.
    """

    seed: int
    given: int
    new: int
    known: int
    resisted: int
    close: int
    before: float
    after: float


@dataclass(frozen=True, eq=False)
class ChallengeResult:
    """The result of a challenge.

    Attributes:
        leaderboard: the board as it is published now.
        row: the title of the row.
        networks: one entry per network of the row that was tried.
    """

    leaderboard: Leaderboard
    row: str
    networks: tuple[Lowered, ...]

    @property
    def lowers(self) -> bool:
        """Whether an image lowers the figure of a network, so that it was recorded."""
        return any(network.new for network in self.networks)


def challenge(
    folder: str | Path,
    row: str,
    images: str | Path,
    *,
    seed: int | None = None,
    source: str = "",
    **keywords: Unpack[RerunKeywords],
) -> ChallengeResult:
    """Lower a row of a published board by adversarial images that were found elsewhere.

    Each image must keep to the board's ball around the clean one and to [0, 1]. The networks of the
    row predict it; where it fools one that was robust, it is published with the board, and lowers
    the column ``best_known``.

    Args:
        folder: the folder of the board.
        row: the title of the row.
        images: a safetensors or npz file with ``images`` (N, C, H, W), uint8 or float in [0, 1],
            and ``indices`` (N,), the place of each among the images that the board evaluates.
        seed: the seed of the network to try; all networks of the row by default.
        source: where the images come from, in a line that the page shows.
        keywords: where weights and data are, and what may be executed; the fields of
            :class:`robench.leaderboard.rerun.RerunOptions`.

    Raises:
        UserError: if the board has no such row, its data or weights are not here, a file is damaged
            or an image leaves its ball; nothing is written then.
    """
    board, options = Leaderboard.read(folder), RerunOptions.of(**keywords)
    check_source(source)
    cells, ball = _cells(board, row, seed), _ball(board)
    check_files(board)
    with trusted_code(board, trust=options.trust_code):
        dataset = board_images(board, options.data, options.data_dir)
        sample = evaluation_images(dataset, board.board.evaluation.samples)
        given = read_given(Path(images), len(sample), sample.image_shape)
        clean = sample.images[torch.from_numpy(given.indices)].float() / 255
        if wrong := outside(torch.from_numpy(given.images), clean, given.indices, ball):
            raise UserError(f"{images}: {wrong}.")
        found: dict[str, Challenge] = {}
        networks = []
        for cell in cells:
            lowers, kept = _try(board, cell, given, sample, dataset, options)
            networks.append(lowers)
            if kept is not None:
                assert cell.file.manifest is not None
                facts = ChallengeFacts(
                    weights_hash=cell.file.manifest.weights_hash,
                    norm=ball.norm,
                    eps=ball.eps,
                    source=source,
                )
                pixels = exact(given.images[kept])
                if pixels.nbytes > LARGEST:
                    raise UserError(f"{images} has too many images; give it in several files.")
                found[cell.file.cell.key] = Challenge(facts, given.indices[kept], pixels)
        after = add_challenges(board.folder, found) if found else board
    return ChallengeResult(after, row, tuple(networks))


def write_clean(
    folder: str | Path, path: Path, data: str | None = None, data_dir: str | Path | None = None
) -> int:
    """Write the images that a board evaluates, to attack them elsewhere; return their number.

    The npz file has ``images`` (N, C, H, W) float32 in [0, 1], ``labels`` and ``indices`` (N,).

    Args:
        folder: the folder of the board.
        path: the file to write.
        data: the data set, if it cannot be loaded by its name.
        data_dir: the folder where it is.

    Raises:
        UserError: if the data set is not here, or the file cannot be written.
    """
    board = Leaderboard.read(folder)
    if path.suffix != ".npz":
        raise UserError(f"{path} must end in .npz.")
    sample = evaluation_images(board_images(board, data, data_dir), board.board.evaluation.samples)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        images=(sample.images.float() / 255).numpy(),
        labels=sample.labels.numpy(),
        indices=np.arange(len(sample)),
    )
    write_bytes(path, buffer.getvalue())
    return len(sample)


def _cells(board: Leaderboard, row: str, seed: int | None) -> Sequence[PublishedCell]:
    titles = [one.title for one in board.result.rows]
    if row not in titles:
        raise UserError(f"{board.name} has no row '{row}'; {did_you_mean(row, titles)}")
    cells = [cell for cell in board.cells if cell.row == row]
    if seed is not None and seed not in [cell.seed for cell in cells]:
        seeds = ", ".join(str(cell.seed) for cell in cells)
        raise UserError(f"'{row}' has no network with the seed {seed}; its seeds are {seeds}.")
    cells = [cell for cell in cells if seed in (None, cell.seed)]
    if any(cell.file.manifest is None for cell in cells):
        raise UserError(f"the training of '{row}' diverged, so there is no network to fool.")
    return cells


def _ball(board: Leaderboard) -> ThreatModel:
    column = board.board.evaluation.main_column
    ball = board.columns[column].threat_model
    if ball is None or ball.norm not in ("linf", "l2"):
        raise UserError(
            f"{board.name} is ranked by {column}, which has no Linf or L2 ball to keep to; images "
            f"can only challenge a row in such a ball."
        )
    return ball


def _try(
    board: Leaderboard,
    cell: PublishedCell,
    given: GivenImages,
    sample: Images,
    dataset: DataSet,
    options: RerunOptions,
) -> tuple[Lowered, np.ndarray | None]:
    """Return what the images do to a network, and which of them count; None if none does."""
    weights, reason = usable_weights(board, cell, dataset, options)
    if weights is None:
        raise UserError(f"'{cell.row}', seed {cell.seed}: {reason}")
    with opened_network(board, cell, weights, dataset, options) as (model, ctx):
        assert model is not None
        fooled = fools(
            model,
            torch.from_numpy(given.images),
            sample.labels[torch.from_numpy(given.indices)],
            batch_size=ctx.evaluation.batch_size,
            device=ctx.device,
        )
    before = _outcomes(board, cell)
    robust = np.zeros(len(sample), np.bool_)
    robust[: len(before)] = before.robust  # an attack may have been given fewer images
    was_robust = robust[given.indices]
    new = fooled.surely & was_robust
    left = before.robust.copy()
    counted = given.indices[new]
    left[counted[counted < len(left)]] = False
    lowers = Lowered(
        seed=cell.seed,
        given=len(given),
        new=int(new.sum()),
        known=int((~was_robust).sum()),
        resisted=int((was_robust & ~fooled.ever).sum()),
        close=int((was_robust & fooled.ever & ~fooled.surely).sum()),
        before=before.accuracy,
        after=float(left.mean()),
    )
    return lowers, new if new.any() else None


def _outcomes(board: Leaderboard, cell: PublishedCell) -> Outcomes:
    """Return the outcomes in the best known attack so far."""
    attacks = worst_case_attacks(board.columns, board.board.evaluation)
    names = attacks or [board.board.evaluation.main_column]
    return lowered(cell.result, Outcomes.worst_of([cell.outcomes[name] for name in names]))
