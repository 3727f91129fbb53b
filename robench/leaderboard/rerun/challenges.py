"""Check that the images of challenges keep to the ball, and that they fool their networks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from robench.data import DataSet, Images
from robench.errors import UserError
from robench.evaluation.validation import size_in
from robench.leaderboard.certified import ROUNDED, certificates, radii_of
from robench.leaderboard.challenge.files import Challenge
from robench.leaderboard.challenge.fooling import fools, outside
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.leaderboard.rerun.network import opened_network
from robench.leaderboard.rerun.options import RerunOptions
from robench.leaderboard.rerun.weights import (
    find_weights,
    network_problem,
    not_here,
    out_of_reach,
    weights_problem,
)
from robench.runs.attack_cell import evaluation_images


@dataclass(frozen=True)
class Challenged:
    """What the challenges of a board turned out to be.

    Attributes:
        predicted: how many of them were predicted by their networks again.
        problems: what contradicts them, one sentence each.
        unchecked: what could not be compared and why, one sentence each.
    """

    predicted: int = 0
    problems: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()


def check_challenges(
    board: Leaderboard, images: Callable[[], DataSet], options: RerunOptions
) -> Challenged:
    """Hold all challenges of a board against its images and, where they are here, its weights.

    Args:
        board: the board as read; its files are as they were published.
        images: returns the images of the board; called if there are challenges.
        options: where the weights are, and what may be executed.
    """
    cells = [cell for cell in board.cells if cell.result.challenges]
    if not cells:
        return Challenged()
    try:
        dataset = images()
    except UserError as error:
        return Challenged(unchecked=(f"the challenges of {board.name}: {error}",))
    sample = evaluation_images(dataset, board.board.evaluation.samples)
    found = [_of_cell(board, cell, dataset, sample, options) for cell in cells]
    return Challenged(
        predicted=sum(one.predicted for one in found),
        problems=tuple(text for one in found for text in one.problems),
        unchecked=tuple(text for one in found for text in one.unchecked),
    )


def _of_cell(
    board: Leaderboard, cell: PublishedCell, dataset: DataSet, sample: Images, options: RerunOptions
) -> Challenged:
    name = f"'{cell.row}', seed {cell.seed}"
    challenges = {
        path.relative_to(board.folder).as_posix(): Challenge.load(path, inside=board.folder)
        for path in cell.result.challenges
    }
    contradicted = [*_outside(challenges, sample), *_within(challenges, sample, cell, board)]
    problems = [f"{name}: {text}" for text in contradicted]
    weights, reason = usable_weights(board, cell, dataset, options)
    if weights is None:
        left = f"{name}: its challenges were not predicted again: {reason}"
        return Challenged(problems=tuple(problems), unchecked=(left,))
    with opened_network(board, cell, weights, dataset, options) as (model, ctx):
        assert model is not None  # it was restored from weights
        for text in _resisted(challenges, sample, model, ctx.device, ctx.evaluation.batch_size):
            problems.append(f"{name}: {text}")
    return Challenged(predicted=len(challenges), problems=tuple(problems))


def usable_weights(
    board: Leaderboard, cell: PublishedCell, dataset: DataSet, options: RerunOptions
) -> tuple[Path | None, str]:
    """Return the weights of a cell if its network can be restored from them, or why it cannot.

    Args:
        board: the board as read.
        cell: one of its cells.
        dataset: the images of the board.
        options: where the weights are, and what may be executed.

    Returns:
        The file, and an empty text; or None, and a sentence.
    """
    if reason := out_of_reach(board, cell, replace(options, retrain=False)):
        return None, reason
    path = find_weights(board.folder, cell, options.stores)
    if path is None:
        problems, notes = not_here(board, cell, options.stores)
        return None, (*problems, *notes)[0]
    if wrong := weights_problem(board, cell, path) or network_problem(cell, path, dataset):
        return None, wrong
    return path, ""


def _outside(challenges: dict[str, Challenge], sample: Images) -> Iterator[str]:
    for name, challenge in challenges.items():
        clean = _clean(challenge, sample)
        if challenge.pixels.shape != clean.shape:
            yield f"{name}: its images have another shape than those of the data."
        elif wrong := outside(
            torch.from_numpy(challenge.pixels), clean, challenge.indices, challenge.threat_model
        ):
            yield f"{name}: {wrong}."


def _within(
    challenges: dict[str, Challenge], sample: Images, cell: PublishedCell, board: Leaderboard
) -> Iterator[str]:
    """Yield which challenges are nearer to the clean images than is proved to be possible."""
    for column in certificates(board.columns):
        ball = board.columns[column].proves
        assert ball is not None
        radii = radii_of(board.columns[column], cell.outcomes[column])
        for name, challenge in challenges.items():
            clean, pixels = _clean(challenge, sample), torch.from_numpy(challenge.pixels)
            if pixels.shape != clean.shape:
                continue  # said already
            known = challenge.indices < len(radii)
            moved = size_in(ball.norm, pixels - clean).numpy()[known]
            if count := int((moved < radii[challenge.indices[known]] - ROUNDED).sum()):
                yield (
                    f"{name}: {count} of its images are nearer than the certified radius of "
                    f"{column}: the proof is wrong, or they do not fool this network."
                )


def _resisted(
    challenges: dict[str, Challenge],
    sample: Images,
    model: nn.Module,
    device: torch.device,
    batch_size: int,
) -> Iterator[str]:
    for name, challenge in challenges.items():
        if challenge.pixels.shape[1:] != sample.images.shape[1:]:
            continue  # said already
        found = fools(
            model,
            torch.from_numpy(challenge.pixels),
            sample.labels[torch.from_numpy(challenge.indices)],
            batch_size=batch_size,
            device=device,
        )
        right = challenge.indices[~found.ever]
        if len(right):
            more = f", and neither do {len(right) - 1} more" if len(right) > 1 else ""
            yield (f"{name}: the image with the index {right[0]} does not fool the network{more}.")


def _clean(challenge: Challenge, sample: Images) -> torch.Tensor:
    return sample.images[torch.from_numpy(challenge.indices)].float() / 255
