"""Load a data set by its name."""

import os
from dataclasses import replace
from pathlib import Path

from robench.data.dataset import DataSet
from robench.data.folder import load_folder
from robench.errors import UserError
from robench.expressions import Expression, parse_expression
from robench.registry import datasets

FOLDER = "image_folder"


def load_dataset(name: str, data_dir: str | Path | None = None) -> DataSet:
    """Load a data set.

    Args:
        name: a registered name, optionally with options of the data set
            (``"my_set(split=2)"``), or ``image_folder:PATH``.
        data_dir: the folder where it is or is downloaded to; ``$ROBENCH_DATA`` or
            ``~/.cache/robench/data`` if left out. For a bare ``image_folder``, the folder itself.

    Returns:
        The data set; if options were given, its name is the expression, so that tables and
        stored results distinguish one choice of options from another.

    Raises:
        UserError: for an unknown name or option, or missing or damaged images.

    Example:
        >>> digits = load_dataset("digits")
        >>> digits.name, digits.num_classes, digits.image_size
        ('digits', 10, (8, 8))
    """
    kind, colon, path = name.partition(":")
    if colon and kind == FOLDER and path:
        return load_folder(Path(path).expanduser())
    expression = Expression(kind) if kind == FOLDER else parse_expression(name)
    if expression.name == FOLDER and (colon or data_dir is None):
        raise UserError(f"say where the images are: --data-dir DIR, or the name {FOLDER}:DIR.")
    folder = Path(data_dir).expanduser() if data_dir is not None else default_data_dir()
    entry, options = datasets.lookup(expression)
    dataset = datasets.build(expression, given=(folder,))
    if not isinstance(dataset, DataSet):
        raise UserError(
            f"the data set '{name}' of {entry.file} is a {type(dataset).__name__}; its function "
            f"must return a robench.DataSet."
        )
    return replace(dataset, name=str(Expression(entry.name, options))) if options else dataset


def can_load(name: str) -> bool:
    """Return whether ``name`` is a registered data set, with options that it has."""
    try:
        datasets.lookup(name)
    except UserError:
        return False
    return True


def default_data_dir() -> Path:
    """Return the folder for downloads: ``$ROBENCH_DATA``, else a folder in the user's cache."""
    return Path(os.environ.get("ROBENCH_DATA", "~/.cache/robench/data")).expanduser()
