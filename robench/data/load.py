"""From a name to a data set."""

import os
from pathlib import Path

from robench.data.dataset import DataSet
from robench.data.folder import load_folder
from robench.errors import UserError
from robench.registry import datasets

FOLDER = "image_folder"


def load_dataset(name: str, data_dir: str | Path | None = None) -> DataSet:
    """Load a data set.

    Args:
        name: a registered name, or ``image_folder:PATH``.
        data_dir: where it is, or is downloaded to; ``$ROBENCH_DATA`` or ``~/.cache/robench/data``
            if left out. For a bare ``image_folder``, the folder itself.

    Raises:
        UserError: for an unknown name, or images that are not there or damaged.
    """
    kind, colon, path = name.partition(":")
    if colon and kind == FOLDER and path:
        return load_folder(Path(path).expanduser())
    if kind == FOLDER and (colon or data_dir is None):
        raise UserError(f"say where the images are: --data-dir DIR, or the name {FOLDER}:DIR.")
    entry = datasets.get(name)
    dataset = entry.build(
        Path(data_dir).expanduser() if data_dir is not None else default_data_dir()
    )
    if not isinstance(dataset, DataSet):
        raise UserError(
            f"the data set '{name}' of {entry.file} is a {type(dataset).__name__}; its function "
            f"must return a robench.DataSet."
        )
    return dataset


def default_data_dir() -> Path:
    """Return where downloads go: ``$ROBENCH_DATA``, else a folder in the user's cache."""
    return Path(os.environ.get("ROBENCH_DATA", "~/.cache/robench/data")).expanduser()
