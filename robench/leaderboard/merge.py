"""Several published leaderboards as one, where they were judged alike."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from robench.board.board import Board, RowSpec
from robench.board.recipes import recipe_for
from robench.board.specs import Cell, ExternalCell, TrainingSpec
from robench.errors import UserError
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.registry import defenses
from robench.runs.records import BoardResult, RowResult
from robench.system.files import write_bytes
from robench.system.provenance import file_hash


@dataclass(frozen=True, eq=False)
class _Row:
    """The cells of one title, with the board that it was first seen on."""

    home: Leaderboard
    cells: dict[str, PublishedCell]


def merge_boards(boards: Sequence[Leaderboard]) -> BoardResult:
    """Put the rows of several boards into one, on which each is the same row.

    The first board gives title, recipe and baseline. A row of another recipe or network becomes an
    arm that says so. Rows of one title and specification with other seeds are joined; a cell that
    several boards have counts once.

    Args:
        boards: as read; at least one.

    Raises:
        UserError: where boards were judged on other images or with other attacks, a title stands
            for two specifications, a cell has two sets of outcomes, or a row lacks seeds that
            others have: leaving seeds out would be choosing them.
    """
    if not boards:
        raise UserError("name at least one leaderboard to merge.")
    for other in boards[1:]:
        _check_alike(boards[0], other)
    rows = _joined(boards)
    seeds = _seeds(boards[0].board, rows)
    board = _board(boards[0].board, rows, seeds)
    made = []
    for title in board.titles:
        if title not in rows:
            raise UserError(f"{boards[0].folder} has the row '{title}' but no manifest of it.")
        cells = sorted(rows[title].cells.values(), key=lambda cell: seeds.index(cell.seed))
        made.append(RowResult(title, cells[0].file.costs, tuple(cell.result for cell in cells)))
    return BoardResult(board, boards[0].dataset, boards[0].columns, tuple(made))


def copy_networks(boards: Sequence[Leaderboard], folder: Path) -> list[Path]:
    """Copy the weights and code of somebody's own networks beside a merged board.

    Nobody can train them again, so ``robench verify`` needs them there. They are held against the
    hashes in the manifests, not against ``SHA256SUMS``.

    Args:
        boards: that were merged.
        folder: of the merged board.

    Returns:
        The files; none for networks whose weights no board has.

    Raises:
        UserError: where two networks are built by different files of one name, or a file cannot be
            written.
    """
    sources: dict[str, Path] = {}
    hashes: dict[str, str] = {}
    for board in boards:
        for spec in (cell.file.cell for cell in board.cells):
            if not isinstance(spec, ExternalCell):
                continue
            wanted = {f"weights/{spec.key}.safetensors": spec.weights_hash}
            if spec.file:
                wanted[f"model/{spec.file}"] = spec.code_hash or ""
            for name, digest in wanted.items():
                if hashes.setdefault(name, digest) != digest:
                    raise UserError(
                        f"two networks are built by different files named {name}; rename one."
                    )
                path = board.folder / name
                if path.is_file() and file_hash(path) == digest:
                    sources.setdefault(name, path)
    for name, path in sources.items():
        write_bytes(folder / name, path.read_bytes())
    return [folder / name for name in sources]


def _check_alike(first: Leaderboard, other: Leaderboard) -> None:
    for name, one, two in _judged_by(first, other):
        if one != two:
            raise UserError(
                f"{other.folder} cannot be merged with {first.folder}: its {name} is "
                f"{_said(two)}, not {_said(one)}; judge its rows as the other's were."
            )


def _judged_by(first: Leaderboard, other: Leaderboard) -> Iterator[tuple[str, object, object]]:
    yield "data set", first.dataset, other.dataset
    one, two = (b.cells[0].file.cell.data_hash for b in (first, other))
    yield "fingerprint of the data", one, two
    this, that = (b.board.data.model_dump(exclude={"name"}) for b in (first, other))
    for key in this:
        yield f"data.{key}", this[key], that[key]
    for key in ("attacks", "samples", "ranking_column", "defaults", "without"):
        yield (
            f"evaluation.{key}",
            getattr(first.board.evaluation, key),
            getattr(other.board.evaluation, key),
        )
    yield "attacks' threat models", dict(first.columns), dict(other.columns)
    here, there = _versions(first), _versions(other)
    for column, version in here.items():
        if column in there:
            yield f"version of '{column}'", version, there[column]


def _versions(board: Leaderboard) -> dict[str, str]:
    """Return column -> key of its outcomes, which says all that they depend on but the cell."""
    return {
        entry.column: key
        for cell in board.cells
        if cell.file.manifest
        for key, entry in cell.file.manifest.outcomes.items()
    }


def _joined(boards: Sequence[Leaderboard]) -> dict[str, _Row]:
    rows: dict[str, _Row] = {}
    for board in boards:
        for cell in board.cells:
            row = rows.setdefault(cell.row, _Row(board, {}))
            for known in row.cells.values():
                if _without_seed(known) != _without_seed(cell):
                    raise UserError(
                        f"'{cell.row}' is one thing in {row.home.folder} and another in "
                        f"{board.folder}; give one of them a label of its own."
                    )
            key = cell.file.cell.key
            if key in row.cells and _made(row.cells[key]) != _made(cell):
                raise UserError(
                    f"'{cell.row}', seed {cell.seed}, has other weights or outcomes in "
                    f"{board.folder} than in {row.home.folder}; find out which are right with "
                    f"'robench verify'."
                )
            row.cells.setdefault(key, cell)
    return rows


def _without_seed(cell: PublishedCell) -> dict[str, object]:
    """Return what a row's cells share; a network that was not trained here has no second seed."""
    spec = cell.file.cell
    return spec.model_dump(exclude={"seed"} if isinstance(spec, Cell) else set())


def _made(cell: PublishedCell) -> tuple[object, ...]:
    manifest = cell.file.manifest
    if manifest is None:
        return ("diverged",)
    hashes = sorted((e.column, e.outcomes_hash) for e in manifest.outcomes.values())
    return (manifest.weights_hash, *hashes)


def _seeds(first: Board, rows: dict[str, _Row]) -> tuple[int, ...]:
    trained = {
        title: {cell.seed for cell in row.cells.values()}
        for title, row in rows.items()
        if not _is_external(row)
    }
    found = set().union(*trained.values()) or set(first.seeds)
    for title, seeds in trained.items():
        if missing := sorted(found - seeds):
            raise UserError(
                f"'{title}' lacks the seeds {', '.join(map(str, missing))} that other rows have; "
                f"run it with them."
            )
    for title, row in rows.items():
        for cell in row.cells.values():
            if cell.seed not in found:
                raise UserError(
                    f"'{title}' was attacked with seed {cell.seed}, which the other rows do not "
                    f"have; judge it with seed {min(found)}."
                )
    known = [seed for seed in first.seeds if seed in found]
    return (*known, *sorted(found.difference(known)))


def _is_external(row: _Row) -> bool:
    return any(isinstance(cell.file.cell, ExternalCell) for cell in row.cells.values())


def _board(first: Board, rows: dict[str, _Row], seeds: tuple[int, ...]) -> Board:
    own = set(first.titles)
    new = {title: row for title, row in rows.items() if title not in own}
    arms = tuple(_arm(first, title, row) for title, row in new.items() if not _is_external(row))
    external = tuple(title for title, row in new.items() if _is_external(row))
    return first.model_copy(
        update={
            "seeds": seeds,
            "arms": first.arms + arms,
            "external": first.external + external,
        }
    )


def _arm(first: Board, title: str, row: _Row) -> RowSpec:
    """Return the arm that makes a row's cells on a board of other recipe, images or network."""
    cell = next(iter(row.cells.values())).file.cell
    assert isinstance(cell, Cell)
    label = "" if title == cell.defense else title
    plain = _plain(first, cell.defense)
    done = cell.training.model_dump()
    changed = {k: v for k, v in done.items() if plain is None or getattr(plain, k) != v}
    model = None if cell.model == first.model else cell.model
    images = cell.data.model_dump(exclude={"name"})
    data = {k: v for k, v in images.items() if getattr(first.data, k) != v}
    return RowSpec(defense=cell.defense, label=label, training=changed, data=data, model=model)


def _plain(first: Board, defense: str) -> TrainingSpec | None:
    """Return the recipe of a defense that sets nothing; None where it is not known here."""
    try:
        return recipe_for(first.training, defenses.build(defense), {})
    except UserError:
        return None


def _said(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
