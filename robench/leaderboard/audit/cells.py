"""Compare a cell's manifest with its specification and the hashes of its outcomes."""

from collections.abc import Iterator

from robench.board.cells import ExternalCell
from robench.leaderboard.published import PublishedCell
from robench.leaderboard.sources import other_attack
from robench.system.provenance import file_hash


def cell_problems(cell: PublishedCell) -> Iterator[str]:
    """Yield what is wrong in a manifest by itself, one sentence each."""
    name = f"'{cell.row}', seed {cell.seed}"
    manifest = cell.file.manifest
    if manifest is None:
        return
    if manifest.specification != cell.file.cell.key:
        yield (
            f"{name}: the specification has the hash {cell.file.cell.key}, but the manifest "
            f"belongs to {manifest.specification}."
        )
    if manifest.data_hash != cell.file.cell.data_hash:
        yield f"{name}: specification and manifest name different data."
    spec = cell.file.cell
    if isinstance(spec, ExternalCell) and spec.weights_hash != manifest.weights_hash:
        yield f"{name}: specification and manifest name different weights."
    for key, entry in manifest.outcomes.items():
        path = cell.path_of(key)
        if not path.is_file():
            yield f"{name}: the outcomes of {entry.column} are missing."
        elif file_hash(path) != entry.outcomes_hash:
            yield f"{name}: the outcomes of {entry.column} are not those of the manifest."
        if entry.column == "clean" and entry.source is not None:
            yield f"{name}: clean images are not attacked, but have the source of an attack."
        elif entry.column != "clean" and other_attack(entry.column, entry.source):
            yield f"{name}: the source of the attack {entry.column} is not the one of its figures."
