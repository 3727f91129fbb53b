"""The splits and columns of a data set of the hub, as the package ``datasets`` understands them.

It is handed ``README.md`` and the names of the Parquet files alone, in a folder of empty files: it
finds out which files make up which split, and asks for nothing else. So nothing of a repository is
executed, only what is used is fetched, and what was fetched before is enough without the hub.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from datasets import (
    Features,
    disable_progress_bars,
    enable_progress_bars,
    get_dataset_config_names,
    get_dataset_default_config_name,
    load_dataset_builder,
)
from datasets.utils import are_progress_bars_disabled
from huggingface_hub.repocard import metadata_load

from robench.errors import UserError, did_you_mean, shortened
from robench.system.reading import DOCUMENT_BYTES, open_plain

PARQUET = ".parquet"
CARD = "README.md"
"""The file that describes a data set, with its configurations and the types of its columns."""

_OUTSIDE = ("://", "::", "..")
"""What leads out of a repository in a pattern of file names."""


@dataclass(frozen=True)
class Layout:
    """The parts of a data set.

    Attributes:
        splits: name of a split -> its Parquet files, in order.
        features: the types of the columns as the repository's card has them; None if it does not.
    """

    splits: Mapping[str, tuple[str, ...]]
    features: Features | None


def layout_of(name: object, files: Sequence[str], card: Path | None, config: str) -> Layout:
    """Return the splits and columns of a configuration.

    Args:
        name: the repository, for messages.
        files: the names of all files of the repository.
        card: its ``README.md``, if it has one.
        config: which configuration; empty for the only or the default one.

    Raises:
        UserError: if there are no Parquet files, the configuration is unknown or not the only one,
            or ``datasets`` does not know what to do with the names.
    """
    names = [file for file in files if file.endswith(PARQUET)]
    if not names:
        raise UserError(
            f"{name} has no Parquet files, the only ones that are read; the hub converts many data "
            f"sets to Parquet: try the revision refs/convert/parquet."
        )
    with TemporaryDirectory(prefix="robench-") as folder, _quietly():
        root = Path(folder).resolve() / "repository"
        _write_names(root, names)
        _copy_card(name, root, card)
        try:
            chosen = _chosen(name, str(root), config)
            cache = str(root.parent / "cache")
            builder = load_dataset_builder(str(root), name=chosen, cache_dir=cache)
            found = {split: tuple(found) for split, found in builder.config.data_files.items()}
            splits = {
                split: tuple(Path(path).relative_to(root).as_posix() for path in paths)
                for split, paths in found.items()
            }
        except UserError:
            raise
        except Exception as error:  # whatever a strange card makes it raise
            raise UserError(
                f"the package datasets finds no splits in {name}: {shortened(error, 200)}"
            ) from error
    return Layout(splits, builder.info.features)


def _chosen(name: object, root: str, config: str) -> str:
    names = get_dataset_config_names(root)
    if config:
        if config not in names:
            raise UserError(
                f"{name} has no configuration '{config}'; {did_you_mean(config, names)}"
            )
        return config
    default = get_dataset_default_config_name(root)
    if default is None:
        raise UserError(
            f"{name} has several configurations, {listed(names)}; choose one, such as "
            f"(config='{names[0]}') after the name."
        )
    return str(default)


def _write_names(root: Path, names: Sequence[str]) -> None:
    """Make an empty file of each name."""
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
            raise UserError(f"the hub lists a file that is in no repository: {shortened(name)}.")
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def _copy_card(name: object, root: Path, card: Path | None) -> None:
    """Copy a card that has metadata, after checking that its patterns stay in the repository."""
    if card is None:
        return
    with open_plain(card, longest=DOCUMENT_BYTES) as file:
        content = file.read()
    (root / CARD).write_bytes(content)
    try:
        metadata = metadata_load(root / CARD)
    except Exception as error:  # YAML that is none
        raise UserError(f"{CARD} of {name} cannot be read: {shortened(error, 200)}") from error
    if metadata is None:
        (root / CARD).unlink()
        return
    for pattern in _texts(metadata.get("configs")):
        if pattern.startswith("/") or any(mark in pattern for mark in _OUTSIDE):
            raise UserError(
                f"{CARD} of {name} names files outside of the repository "
                f"({shortened(pattern)}), which are not read."
            )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence has them, only the first of many."""
    shown = ", ".join(shortened(name) for name in names[:10])
    return f"{shown}, ..." if len(names) > 10 else shown


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep ``datasets`` from drawing progress bars and from writing to the log."""
    shown, log = not are_progress_bars_disabled(), logging.getLogger("datasets")
    level = log.level
    disable_progress_bars()
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
        if shown:
            enable_progress_bars()
