"""Compare challenges with the networks and images that they are of; no image is looked up."""

from collections.abc import Iterator, Mapping

from robench.data.facts import facts_of
from robench.errors import UserError
from robench.leaderboard.challenge.files import FOLDER, Challenge, challenge_name
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.system.reading import read_bytes


def challenge_problems(board: Leaderboard, sums: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with a board's challenges by themselves, one sentence each.

    Whether the images keep to the ball takes the clean ones, and whether they fool the network its
    weights: see :func:`robench.leaderboard.rerun.challenges.check_challenges`.

    Args:
        board: the board as read.
        sums: relative path -> SHA-256, as listed.
    """
    known = {
        path.relative_to(board.folder).as_posix(): cell
        for cell in board.cells
        for path in cell.result.challenges
    }
    for name in sorted(name for name in sums if name.startswith(f"{FOLDER}/")):
        if name not in known:
            yield f"{name} belongs to no cell."
            continue
        for problem in _problems(board, known[name], name):
            yield f"'{known[name].row}', seed {known[name].seed}: {problem}"


def _problems(board: Leaderboard, cell: PublishedCell, name: str) -> Iterator[str]:
    path = board.folder / name
    try:
        challenge = Challenge.load(path, inside=board.folder)
        content = read_bytes(path, longest=path.stat().st_size, inside=board.folder)
    except UserError as error:
        yield str(error)
        return
    if challenge_name(cell.file.cell.key, content) != name:
        yield f"{name} is not named by its content."
    manifest, evaluation = cell.file.manifest, board.board.evaluation
    if manifest is None:
        yield f"{name} is a challenge of a network whose training diverged."
    elif challenge.facts.weights_hash != manifest.weights_hash:
        yield f"{name} is a challenge of other weights than those of the manifest."
    wanted = board.columns[evaluation.main_column].threat_model
    if challenge.threat_model != wanted:
        yield f"{name} is of another threat model than the board's."
    if int(challenge.indices[-1]) >= evaluation.samples:
        yield (
            f"{name} has the index {challenge.indices[-1]}, but the board evaluates "
            f"{evaluation.samples} images, counted from 0."
        )
    facts = facts_of(board.dataset)
    shape = challenge.images.shape[1:]
    if facts is not None and shape != facts.shape:
        yield f"{name} has images of the shape {shape}, but those of the data are {facts.shape}."
