"""What is stored of a cell is compared with its manifest before it is used again.

A training may have taken days, so weights, log or manifest that do not fit one another are refused
in a sentence, and stay as they are. What is quickly made again (outcomes, checks, spectra, the
specification for people to read) is made again, and a warning says so.
"""

import hashlib
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pandas as pd
from pydantic import Field, ValidationError

from robench.board.cells import HASH, Cell
from robench.board.specs import Spec
from robench.errors import RobenchWarning, UserError
from robench.runs.records import Divergence, Manifest, OutcomeEntry
from robench.runs.store import CellFolder
from robench.system.files import remove, write_json
from robench.system.json_files import parse_json, read_json
from robench.system.provenance import file_hash
from robench.system.reading import DOCUMENT_BYTES, Refused, read_bytes
from robench.training.resume import odd_columns
from robench.wrong_values import what_to_write

Made = TypeVar("Made")
Form = TypeVar("Form", bound=Spec)


class StoredManifest(Manifest):
    """The manifest in the run store: the outcomes of all boards, and what is not published.

    ``outcomes`` holds an :class:`OutcomeEntry` each, but for what depends on the board.
    ``log_hash`` is None where an earlier version trained. ``reports`` has the sha256 of the files
    of checks and spectra, each under its path in the cell's folder; not those that an earlier
    version wrote.
    """

    outcomes: dict[str, Any] = Field(default_factory=dict)
    log_hash: str | None = Field(None, pattern=HASH)
    reports: dict[str, Annotated[str, Field(pattern=HASH)]] = Field(default_factory=dict)

    def published(self, entries: Iterable[OutcomeEntry], keys: Iterable[str]) -> Manifest:
        """Return the manifest of a board with these outcomes, each under its key."""
        known = {name: getattr(self, name) for name in Manifest.model_fields}
        outcomes = dict(zip(keys, entries, strict=True))
        return Manifest.model_validate(known | {"outcomes": outcomes})


def check_stored(folder: CellFolder, cell: Cell) -> None:
    """Check that what is stored of a cell is what was stored, before any of it is used.

    What arrived in part of a training on another machine is removed: it is trained again. Hold the
    lock.

    Raises:
        UserError: if weights, log or manifest are damaged, missing or of another cell.
    """
    _restore_specification(folder, cell)
    _remove_what_arrived_in_part(folder)
    if folder.diverged.exists():
        if folder.weights.exists():
            raise _refusal(folder, folder.diverged, "says that there are no weights, but there are")
        read_divergence(folder)
        return
    for file, other in ((folder.weights, folder.manifest), (folder.manifest, folder.weights)):
        # While training ends there is a checkpoint: it is removed when both have been written.
        if not file.exists() and other.exists() and not folder.checkpoint.exists():
            raise _refusal(folder, file, f"is missing, but {other.name} is there")
    if folder.finished_training:
        _check_trained(folder, cell, read_manifest(folder))


def _remove_what_arrived_in_part(folder: CellFolder) -> None:
    if folder.arriving.exists():
        if not folder.manifest.exists():
            remove(folder.weights)
            remove(folder.log)
        remove(folder.arriving)


def _check_trained(folder: CellFolder, cell: Cell, manifest: StoredManifest) -> None:
    if (manifest.specification, manifest.data_hash) != (cell.key, cell.data_hash):
        raise _refusal(folder, folder.manifest, "is that of another cell")
    if file_hash(folder.weights) != manifest.weights_hash:
        raise _refusal(folder, folder.weights, "does not hold the weights that were trained")
    log = read_log(folder)
    if list(log["epoch"]) != list(range(1, cell.training.epochs + 1)):
        raise _refusal(folder, folder.log, f"lacks some of {cell.training.epochs} epochs")
    if manifest.log_hash not in (None, file_hash(folder.log)):
        raise _refusal(folder, folder.log, "is not the log that was written")


def read_manifest(folder: CellFolder) -> StoredManifest:
    """Read the manifest of a cell.

    Raises:
        UserError: if it is missing, damaged or no manifest.
    """
    return _read(folder, folder.manifest, StoredManifest)


def read_divergence(folder: CellFolder) -> Divergence:
    """Read the note that a cell's training diverged.

    Raises:
        UserError: if it is missing, damaged or no such note.
    """
    return _read(folder, folder.diverged, Divergence)


def read_log(folder: CellFolder) -> pd.DataFrame:
    """Read the log of a finished training, with the columns of :class:`Epoch`.

    Raises:
        UserError: if it is missing, damaged or no log.
    """
    try:
        log = pd.read_csv(folder.log)
    except FileNotFoundError:
        raise _refusal(folder, folder.log, "is missing") from None
    except (OSError, ValueError, OverflowError, RecursionError) as error:
        empty = isinstance(error, pd.errors.EmptyDataError)
        what = "is damaged: it has no rows" if empty else "is damaged: it is not a table"
        raise _refusal(folder, folder.log, what) from error
    if odd_columns(log.columns):
        raise _refusal(folder, folder.log, "is damaged: it lacks the columns of a log")
    for name in log.columns:
        values = pd.to_numeric(log[name], errors="coerce")
        # Without a validation part there is no accuracy on it.
        if not values.map(math.isfinite).all() and name not in ("val_accuracy", "val_robust"):
            raise _refusal(folder, folder.log, f"is damaged: '{name}' is not a number everywhere")
    return log


def sound_outcomes(manifest: StoredManifest, folder: CellFolder, keys: Sequence[str]) -> set[str]:
    """Return which outcomes are stored as their attacks left them; a warning names others.

    Args:
        manifest: the manifest of the cell.
        folder: its folder.
        keys: the outcomes that are wanted. One whose file was removed is left out silently.
    """
    sound: set[str] = set()
    odd: list[Path] = []
    for key in keys:
        path = folder.outcomes(key)
        if key not in manifest.outcomes or not path.exists():
            continue
        try:
            entry = outcome_entry(manifest, key, key)
        except UserError:
            entry = None
        if entry is None or file_hash(path) != entry.outcomes_hash:
            odd.append(path)
        else:
            sound.add(key)
    if odd:
        several = f" and {len(odd) - 1} more" if len(odd) > 1 else ""
        _say(
            f"{odd[0]}{several}: not the outcomes that {folder.manifest.name} describes; the "
            f"attacks are run again"
        )
    return sound


def outcome_entry(
    manifest: StoredManifest, key: str, column: str, source: str | None = None
) -> OutcomeEntry:
    """Return an entry of a stored manifest as the entry of a board's column.

    Args:
        manifest: the manifest of the cell.
        key: the name of the outcomes' file.
        column: the column.
        source: the hash of the attack's source, unless it is as shipped.

    Raises:
        UserError: if there is no such entry, or it is damaged.
    """
    try:
        values = manifest.outcomes[key]
        return OutcomeEntry.model_validate(values | {"column": column, "source": source})
    except (ValidationError, TypeError, KeyError) as error:
        raise UserError(
            f"the manifest's entry of '{key}' is damaged; run the attack again."
        ) from error


def read_or_none(path: Path, make: Callable[[Any], Made], digest: str | None = None) -> Made | None:
    """Return what a stored file holds, or None if it has to be made: a warning says if it is odd.

    Args:
        path: a JSON file; it need not exist.
        make: makes an object of its content, or raises a ValueError that says what the file is not,
            as the end of a sentence that begins with its name.
        digest: the sha256 of the file as it was written, if that is known.
    """
    if not path.exists():
        return None
    try:
        content = read_bytes(path, longest=DOCUMENT_BYTES)
    except Refused as error:
        _say(f"{path} cannot be read ({error.reason}); made again")
        return None
    try:
        values = parse_json(content)
    except ValueError:
        _say(f"{path} is damaged; made again")
        return None
    if digest not in (None, hashlib.sha256(content).hexdigest()):
        _say(f"{path} was changed after it was written; made again")
        return None
    try:
        return make(values)
    except ValueError as error:
        _say(f"{path} {error}; made again")
        return None


def check_weights_of_cell(path: Path) -> None:
    """Check the weights of a stored cell against its manifest; those elsewhere are left alone.

    Args:
        path: a ``weights.safetensors``, or its folder.

    Raises:
        UserError: if the manifest beside them is of other weights, or damaged.
    """
    folder = CellFolder(path if path.is_dir() else path.parent)
    weights = folder.weights if path.is_dir() else path
    stored = folder.spec.is_file() and folder.manifest.is_file() and weights.is_file()
    if (
        stored
        and weights.name == folder.weights.name
        and file_hash(weights) != read_manifest(folder).weights_hash
    ):
        raise _refusal(folder, weights, "does not hold the weights that were trained")


def _restore_specification(folder: CellFolder, cell: Cell) -> None:
    wanted = cell.model_dump(mode="json")

    def same(found: Any) -> bool:
        if found != wanted:
            raise ValueError("is not the specification that the folder is named after")
        return True

    if read_or_none(folder.spec, same) is None:
        write_json(folder.spec, wanted)


def _read(folder: CellFolder, path: Path, form: type[Form]) -> Form:
    try:
        return form.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "its content"
        said = what_to_write(first).rstrip(".")
        raise _refusal(folder, path, f"is damaged ({where[:80]}: {said})") from None
    except Refused as error:
        raise _refusal(folder, path, f"cannot be read ({error.reason})") from None
    except UserError:
        raise _refusal(folder, path, "is damaged: it is not JSON") from None


def _refusal(folder: CellFolder, path: Path, what: str) -> UserError:
    return UserError(
        f"{path} {what}: it was changed after it was written, or the disk is failing; put the file "
        f"back, or remove {folder.path} and the cell is trained again."
    )


def _say(text: str) -> None:
    warnings.warn(f"{text}.", RobenchWarning, stacklevel=3)
