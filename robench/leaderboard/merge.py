"""Merge published leaderboards that were evaluated alike into one."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from robench.board.board import Board, RowSpec
from robench.board.cells import Cell, ExternalCell
from robench.board.explain import explain
from robench.board.recipes import recipe_for
from robench.board.specs import TrainingSpec
from robench.errors import RobenchWarning, UserError, shortened
from robench.leaderboard.audit.lengths import check_lengths
from robench.leaderboard.evidence import read_sums, weights_name
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.registry import defenses
from robench.runs.records import BoardResult, RowResult


@dataclass(frozen=True, eq=False)
class _Row:
    """The cells of one title, and the first board that has it."""

    first: Leaderboard
    cells: dict[str, PublishedCell]


def merge_boards(boards: Sequence[Leaderboard]) -> BoardResult:
    """Combine the rows of several boards into one board; each row keeps its specification.

    The first board gives title, recipe and baseline. A row with another recipe or network becomes
    an explicit row that states the difference. Rows with the same title and specification but other
    seeds are joined; a cell that several boards have counts once, as the first of them has it, and
    a warning says so if they differ.

    Args:
        boards: the boards as read; at least one.

    Raises:
        UserError: if boards were evaluated on other images or with other attacks, outcomes are not
            of the images that a board evaluates, a title stands for two specifications, two titles
            stand for one whose files differ, or a row lacks seeds that others have: dropping seeds
            would amount to selecting them.
    """
    if not boards:
        raise UserError("name at least one leaderboard to merge.")
    for other in boards:
        check_lengths(other)
    for other in boards[1:]:
        _check_alike(boards[0], other)
    rows = _joined(boards)
    seeds = _seeds(boards[0].board, rows)
    board = _board(boards[0].board, rows, seeds)
    whole = all(weights_name(key) in read_sums(b.folder) for b in boards for key in _keys(b))
    board = board.model_copy(
        update={
            "publish_weights": board.publish_weights and whole,
            "weights_at": _only([b.board.weights_at for b in boards]),
        }
    )
    made = []
    for title in board.titles:
        if title not in rows:
            raise UserError(f"{boards[0].folder} has the row '{title}' but no manifest for it.")
        cells = sorted(rows[title].cells.values(), key=lambda cell: seeds.index(cell.seed))
        made.append(RowResult(title, cells[0].file.costs, tuple(cell.result for cell in cells)))
    return BoardResult(board, boards[0].dataset, boards[0].columns, tuple(made))


def _only(texts: Sequence[str]) -> str:
    """Return the text that all boards have; "" if they differ."""
    return texts[0] if len(set(texts)) == 1 else ""


def _keys(board: Leaderboard) -> list[str]:
    """Return the keys of the cells of a board that have weights."""
    return [cell.file.cell.key for cell in board.cells if cell.file.manifest is not None]


def _check_alike(first: Leaderboard, other: Leaderboard) -> None:
    for name, one, two in _evaluation_settings(first, other):
        if one != two:
            raise UserError(
                f"{other.folder} cannot be merged with {first.folder}: its {name} is "
                f"{_short(two)}, not {_short(one)}; evaluate its rows with the same settings."
            )


def _evaluation_settings(
    first: Leaderboard, other: Leaderboard
) -> Iterator[tuple[str, object, object]]:
    """Yield the name of each setting that must agree, and its value on both boards."""
    yield "data set", first.dataset, other.dataset
    one, two = (b.cells[0].file.cell.data_hash for b in (first, other))
    yield "fingerprint of the data", one, two
    here, there = (b.board.data.model_dump(exclude={"name"}) for b in (first, other))
    for key in here:
        yield f"data.{key}", here[key], there[key]
    for key in _SETTINGS:
        yield (
            f"evaluation.{key}",
            getattr(first.board.evaluation, key),
            getattr(other.board.evaluation, key),
        )
    yield "attacks' threat models", dict(first.columns), dict(other.columns)
    versions, others = _versions(first), _versions(other)
    for column, version in versions.items():
        if column in others:
            yield f"version of '{column}'", version, others[column]


_SETTINGS = (
    "attacks",
    "samples",
    "ranking_column",
    "worst_case",
    "defaults",
    "without",
    "checks",
    "check_samples",
    "binarization",
    "spectra",
)
"""What boards must have in common: the merged one says for all rows what was evaluated."""


def _versions(board: Leaderboard) -> dict[str, str]:
    """Return column -> key of its outcomes, which covers all they depend on except the cell."""
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
                        f"'{cell.row}' is one thing in {row.first.folder} and another in "
                        f"{board.folder}; give one of them another label."
                    )
            key = cell.file.cell.key
            if key in row.cells and _hashes(row.cells[key]) != _hashes(cell):
                warnings.warn(
                    f"'{cell.row}', seed {cell.seed}, has other weights or outcomes in "
                    f"{board.folder} than in {row.first.folder}, as after training on another "
                    f"machine: those of {row.first.folder} count; 'robench verify' tells whether "
                    f"they are correct.",
                    RobenchWarning,
                    stacklevel=2,
                )
            known = row.cells.setdefault(key, cell)
            # Outcomes may differ with the machine; what fools a network fools it everywhere.
            if known is not cell and _weights(known) == _weights(cell):
                row.cells[key] = _with_challenges(known, cell)
    _check_keys(rows)
    return rows


def _check_keys(rows: dict[str, _Row]) -> None:
    """Check that rows whose cells share a key share their files, which are named by the key.

    Two rows may be one specification under two labels; what has been attacked for one of them
    must not be published as the other's.
    """
    first: dict[str, PublishedCell] = {}
    for row in rows.values():
        for key, cell in row.cells.items():
            known = first.setdefault(key, cell)
            if _hashes(known) != _hashes(cell):
                raise UserError(
                    f"'{known.row}' in {known.folder} and '{cell.row}' in {cell.folder} are the "
                    f"same specification, seed {cell.seed}, with other weights or outcomes, and a "
                    f"folder holds only one of the two: leave one of these rows out."
                )
            if known is not cell:
                first[key] = _with_challenges(known, cell)
    for row in rows.values():  # a folder has the challenges of a key once, for all rows
        row.cells.update(
            {key: _with_challenges(cell, first[key]) for key, cell in row.cells.items()}
        )


def _with_challenges(cell: PublishedCell, other: PublishedCell) -> PublishedCell:
    """Return a cell with the challenges of the same network on another board, each of them once."""
    files = {path.name: path for path in (*other.result.challenges, *cell.result.challenges)}
    paths = tuple(files[name] for name in sorted(files))
    return replace(cell, result=replace(cell.result, challenges=paths))


def _without_seed(cell: PublishedCell) -> dict[str, object]:
    """Return what a row's cells share; a network that was not trained here has just one seed."""
    spec = cell.file.cell
    return spec.model_dump(exclude={"seed"} if isinstance(spec, Cell) else set())


def _hashes(cell: PublishedCell) -> tuple[object, ...]:
    """Return the hashes of a cell's weights and outcomes."""
    manifest = cell.file.manifest
    if manifest is None:
        return ("diverged",)
    hashes = sorted((e.column, e.outcomes_hash) for e in manifest.outcomes.values())
    return (manifest.weights_hash, *hashes)


def _weights(cell: PublishedCell) -> str | None:
    """Return the hash of a cell's weights; None if its training diverged."""
    return cell.file.manifest.weights_hash if cell.file.manifest else None


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
                f"run it with these seeds."
            )
    for title, row in rows.items():
        for cell in row.cells.values():
            if cell.seed not in found:
                raise UserError(
                    f"'{title}' was attacked with seed {cell.seed}, which the other rows do not "
                    f"have; evaluate it with seed {min(found)}."
                )
    known = [seed for seed in first.seeds if seed in found]
    return (*known, *sorted(found.difference(known)))


def _is_external(row: _Row) -> bool:
    return any(isinstance(cell.file.cell, ExternalCell) for cell in row.cells.values())


def _board(first: Board, rows: dict[str, _Row], seeds: tuple[int, ...]) -> Board:
    own = set(first.titles)
    new = {title: row for title, row in rows.items() if title not in own}
    specs = tuple(
        _row_spec(first, title, row) for title, row in new.items() if not _is_external(row)
    )
    external = tuple(title for title, row in new.items() if _is_external(row))
    return first.model_copy(
        update={
            "seeds": seeds,
            "arms": first.arms + specs,
            "external": first.external + external,
        }
    )


def _row_spec(first: Board, title: str, row: _Row) -> RowSpec:
    """Return the row specification that reproduces a row's cells on the first board.

    Raises:
        UserError: if a board cannot have such a row, whose title may be longer than a label.
    """
    cell = next(iter(row.cells.values())).file.cell
    assert isinstance(cell, Cell)
    label = "" if title == cell.defense else title
    default = _default_recipe(first, cell.defense)
    done = cell.training.model_dump()
    changed = {k: v for k, v in done.items() if default is None or getattr(default, k) != v}
    model = None if cell.model == first.model else cell.model
    images = cell.data.model_dump(exclude={"name"})
    data = {k: v for k, v in images.items() if getattr(first.data, k) != v}
    try:
        return RowSpec(defense=cell.defense, label=label, training=changed, data=data, model=model)
    except ValidationError as error:
        name = shortened(title)
        raise UserError(f"'{name}' cannot be a row: {explain(error, RowSpec)}") from None


def _default_recipe(first: Board, defense: str) -> TrainingSpec | None:
    """Return a defense's recipe without overrides; None if the defense is not registered."""
    try:
        return recipe_for(first.training, defenses.build(defense), {})
    except UserError:
        return None


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
