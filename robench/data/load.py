"""Load a data set by its name."""

import os
from pathlib import Path

from torch import Tensor

from robench.data.dataset import DataSet, check_labels
from robench.data.folder import load_folder, no_folder_but_file
from robench.data.images import Images, WrongImagesError
from robench.data.notices import notify, scale_notice
from robench.data.npz import load_npz
from robench.data.stream import ImageStream
from robench.data.unread import UnreadImages
from robench.errors import UserError
from robench.expressions import Expression, parse_expression
from robench.registry import datasets
from robench.system.files import expanded, is_file, is_folder

FOLDER = "image_folder"
HUB = "hf"
"""What precedes the name of a repository of the Hugging Face hub, of data or of a network."""
NPZ = ".npz"


def load_dataset(name: str | Path, data_dir: str | Path | None = None) -> DataSet:
    """Load a data set.

    Args:
        name: a registered name, optionally with options of the data set
            (``"my_set(split=2)"``); ``image_folder:PATH`` or a path with a slash, such as
            ``./my_images``, for a folder of images; an ``.npz`` file of images and labels; or
            ``hf:ORG/NAME``, a data set of the Hugging Face hub, at its newest commit or that of
            ``hf:ORG/NAME@REVISION``. A name without a slash is a registered one, also if a folder
            of that name is here.
        data_dir: the folder where it is or is downloaded to; ``$ROBENCH_DATA`` or
            ``~/.cache/robench/data`` if left out. For a bare ``image_folder``, the folder itself.

    Returns:
        The data set; if options were given, its name is the expression, so that tables and
        stored results distinguish one choice of options from another. Its training images are
        read, and its mean and std are measured, when they are first used.

    Raises:
        UserError: for an unknown name or option, or missing or damaged images.

    Example:
        >>> digits = load_dataset("digits")
        >>> digits.name, digits.num_classes, digits.image_size
        ('digits', 10, (8, 8))
    """
    dataset = _loaded(str(name), data_dir)
    pixels = _in_memory(dataset.test)
    if pixels is not None and (
        notice := scale_notice(pixels, f"the test images of {dataset.name}")
    ):
        notify(notice)
    return dataset


def _in_memory(part: Images | ImageStream) -> Tensor | None:
    """Return the images that are in memory, and not in files, which are decoded to 0-255."""
    return None if isinstance(part, ImageStream | UnreadImages) else part.images


def _loaded(name: str, data_dir: str | Path | None) -> DataSet:
    if is_of_hub(name):
        return datasets.build(_of_hub(name), given=(Path(),))
    if (path := _path_of(name)) is not None:
        return load_npz(path) if path.suffix.lower() == NPZ else load_folder(path)
    if is_file(Path(name)) and name not in datasets:
        raise UserError(no_folder_but_file(name))
    kind, colon, _ = name.partition(":")
    expression = Expression(kind) if kind == FOLDER else parse_expression(name)
    if expression.name == FOLDER and (colon or data_dir is None):
        raise UserError(f"say where the images are: --data-dir DIR, or the name {FOLDER}:DIR.")
    if expression.name == HUB:
        raise UserError(f"say which data set of the Hugging Face hub: {HUB}:ORG/NAME.")
    folder = expanded(data_dir) if data_dir is not None else default_data_dir()
    _say_which(expression.name, folder)
    entry, options = datasets.lookup(expression)
    try:
        dataset = datasets.build(expression, given=(folder,))
    except WrongImagesError as error:
        raise UserError(f"the data set '{name}' of {entry.file}: {error}") from error
    if not isinstance(dataset, DataSet):
        raise UserError(
            f"the data set '{name}' of {entry.file} is a {type(dataset).__name__}; its function "
            f"must return a robench.DataSet."
        )
    check_labels(dataset, dataset.test, "test")  # those of the other part are not read for this
    return dataset.named(str(Expression(entry.name, options))) if options else dataset


def _path_of(name: str) -> Path | None:
    """Return the folder or file that ``name`` says; None if it is the name of a data set."""
    kind, colon, rest = name.partition(":")
    if colon and kind == FOLDER:
        return expanded(rest) if rest else None
    before_options = name.partition("(")[0]
    is_path = any(mark in before_options for mark in ("/", os.sep)) or name in (".", "..", "~")
    return expanded(name) if is_path or name.lower().endswith(NPZ) else None


def is_path(name: str) -> bool:
    """Return whether ``name`` says a folder or a file, and not a registered data set."""
    return _path_of(name) is not None


def absolute_name(name: str) -> str:
    """Return a name that says the same in any working folder: paths in it are absolute."""
    if is_of_hub(name) or (path := _path_of(name)) is None:
        return name
    return str(path.absolute()) if path.suffix.lower() == NPZ else f"{FOLDER}:{path.absolute()}"


def entry_of(name: str) -> str | None:
    """Return the registered name that a data set's name begins with, without its options.

    Args:
        name: the name, as on a board or in a table.

    Returns:
        None for a data set of the hub, a folder or a file.
    """
    try:
        if ":" in name or _path_of(name) is not None:
            return None
        return parse_expression(name).name
    except UserError:  # of a folder whose name is no expression
        return None


def _say_which(name: str, data_dir: Path) -> None:
    """Say that a registered data set is read where a folder of its name is here, too."""
    here = Path(name)
    if not is_folder(here) or here.resolve() == data_dir.resolve():
        return
    if name not in datasets:
        raise UserError(
            f"no data set is named '{name}'; to read the folder of that name, write ./{name}."
        )
    if any(path.is_dir() for path in here.iterdir()):
        notify(
            f"'{name}' is the registered data set; to read the folder of that name, write ./{name}."
        )


def is_of_hub(name: str) -> bool:
    """Return whether ``name`` is a data set of the Hugging Face hub, ``hf:ORG/NAME``."""
    return name.startswith(f"{HUB}:")


def _of_hub(name: str) -> Expression:
    """Return ``hf:ORG/NAME(options)`` as an expression of the entry ``hf``."""
    parsed = parse_expression(name)
    _, _, repository = parsed.name.partition(":")
    return Expression(HUB, {**parsed.options, "repository": repository})


def can_load(name: str) -> bool:
    """Return whether ``name`` is a data set of the hub or a registered one, with its options."""
    try:
        datasets.lookup(_of_hub(name) if is_of_hub(name) else name)
    except UserError:
        return False
    return True


def default_data_dir() -> Path:
    """Return the folder for downloads: ``$ROBENCH_DATA``, else a folder in the user's cache."""
    return expanded(os.environ.get("ROBENCH_DATA", "~/.cache/robench/data"))
