"""Compare the README of a submission with the one that its figures give."""

from collections.abc import Iterator

from robench.errors import UserError
from robench.leaderboard.bundle import published_bundle
from robench.leaderboard.evidence import read_sums
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.submission_readme import README, submission_readme
from robench.leaderboard.table import compare_rows, leaderboard
from robench.system.reading import DOCUMENT_BYTES, read_text


def readme_problems(board: Leaderboard) -> Iterator[str]:
    """Yield whether the README that belongs to a folder is not that of its figures.

    A folder without one in its checksums is no submission.
    """
    if README not in read_sums(board.folder):
        return
    try:
        published = read_text(board.folder / README, longest=DOCUMENT_BYTES, inside=board.folder)
        bundle = published_bundle(board)
    except UserError:
        yield f"{README} cannot be compared: it, or code that it lists, is missing or damaged."
        return
    # Not the published table, whose figures are rounded to six digits.
    table = leaderboard(board.result, compare_rows(board.result))
    made = submission_readme(board.result, table, bundle).splitlines()
    lines = published.splitlines()
    if lines == made:
        return
    differing = [i for i, pair in enumerate(zip(lines, made, strict=False)) if pair[0] != pair[1]]
    number = 1 + (differing[0] if differing else min(len(lines), len(made)))
    yield (
        f"{README}, line {number}, is not what its figures and its code give; write the folder "
        f"with 'robench submit'."
    )
