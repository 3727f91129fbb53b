"""Compare the weights in a board's folder with the manifests; no network is built."""

from collections.abc import Iterator, Mapping

from robench.leaderboard.evidence import weights_name
from robench.leaderboard.published import Leaderboard


def weights_problems(board: Leaderboard, sums: Mapping[str, str]) -> Iterator[str]:
    """Yield where weights are missing or not those of their manifest, one sentence each.

    Args:
        board: the board as read.
        sums: relative path -> SHA-256, as listed.
    """
    for cell in board.cells:
        manifest, name = cell.file.manifest, weights_name(cell.file.cell.key)
        if manifest is None:
            continue
        if name not in sums and board.board.publish_weights:
            yield (
                f"'{cell.row}', seed {cell.seed}: the board says that it publishes its weights, "
                f"but {name} is not in SHA256SUMS."
            )
        elif sums.get(name, manifest.weights_hash) != manifest.weights_hash:
            yield f"'{cell.row}', seed {cell.seed}: {name} is not the file of its manifest."
