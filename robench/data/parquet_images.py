"""Images and labels in columns of Parquet files, as the Hugging Face hub has them."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from robench.data.decode import ImageContent, decode, is_color
from robench.data.files import read_files
from robench.data.hub_columns import Columns
from robench.data.images import Images
from robench.data.unread import UnreadImages
from robench.errors import UserError, shortened


class ParquetImages(UnreadImages):
    """Images of one size in Parquet files, decoded when they are first used.

    Labels, number and shape are known before, and ``take`` reads only the groups of rows with
    what it returns. A column holds the content of image files; a path in it is not followed.

    Args:
        files: the Parquet files, in order.
        columns: the columns to read.
        name: what sentences call them: ``the split 'test' of hf:ORG/NAME``.
        channels: 1 or 3; by default, 1 if all images are grayscale and 3 otherwise.

    Raises:
        UserError: if a file is not Parquet or lacks a column, or an image has no label.
    """

    def __init__(
        self, files: Sequence[Path], columns: Columns, name: str, channels: int | None = None
    ) -> None:
        super().__init__(lambda: self._decoded(list(range(len(self)))))
        self._files, self._columns, self._name = tuple(files), columns, name
        self._asked_channels = channels
        self._groups: list[tuple[Path, int]] = []
        counts, labels = [], []
        for file in files:
            table, sizes = _labels(file, columns, name)
            self._groups += [(file, group) for group in range(len(sizes))]
            counts += sizes
            labels.append(table)
        self._starts = [0, *np.cumsum(counts, dtype=np.int64).tolist()]
        values = np.concatenate(labels) if labels else np.zeros(0, dtype=np.int64)
        _check_labels(values, columns, name)
        self._labels = torch.from_numpy(values)

    @property
    def labels(self) -> Tensor:
        """All labels, (N,) int64; no image is read."""
        return self._labels

    @cached_property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width; the size is that of the first image."""
        _, height, width = decode(self._first).shape
        return self._channels, height, width

    def take(self, indices: Tensor) -> Images:
        """Return the samples at ``indices``, in that order."""
        if "_all" in vars(self) or 2 * len(indices) > len(self):
            return super().take(indices)
        return self._decoded(indices.tolist())

    @cached_property
    def _first(self) -> ImageContent:
        return next(content for _, content in self._contents([0]))

    @cached_property
    def _channels(self) -> int:
        if self._asked_channels == 3:
            return 3
        everything = self._contents(list(range(len(self))))
        color = next((content for _, content in everything if is_color(content)), None)
        if color is not None and self._asked_channels is not None:
            raise UserError(f"{color} has colors, but the test images are all grayscale.")
        return 1 if color is None else 3

    def _decoded(self, rows: list[int]) -> Images:
        shape, contents = self.image_shape, dict(self._contents(rows))
        labels = self._labels[rows].tolist()
        files = [(contents[row], label) for row, label in zip(rows, labels, strict=True)]
        return read_files(files, shape, (self._first, 0))

    def _contents(self, rows: Sequence[int]) -> Iterator[tuple[int, ImageContent]]:
        """Yield the rows with the content of their image files, group by group."""
        wanted = np.unique(rows)
        for (file, group), (start, end) in zip(self._groups, pairwise(self._starts), strict=True):
            own = wanted[(wanted >= start) & (wanted < end)]
            if not len(own):
                continue
            column = _read(file, self._columns.image, self._name, group)
            for row, value in zip(own.tolist(), column.take(pa.array(own - start)), strict=True):
                yield row, self._content(row, value.as_py())

    def _content(self, row: int, value: Any) -> ImageContent:
        content = value.get("bytes") if isinstance(value, dict) else value
        what = f"image {row} of {self._name}"
        if not isinstance(content, bytes):
            raise UserError(f"{what} has no content in its Parquet file.")
        return ImageContent(content, what)


def _labels(file: Path, columns: Columns, name: str) -> tuple[np.ndarray, list[int]]:
    """Return the labels of a file, int64, and the numbers of rows of its groups."""
    column = _read(file, columns.label, name)
    if not pa.types.is_integer(column.type):
        raise UserError(f"the column '{columns.label}' of {name} holds {column.type}, not labels.")
    if column.null_count:
        raise UserError(f"{name} has images without a label; name another split.")
    with pq.ParquetFile(file) as opened:
        facts = opened.metadata
        sizes = [facts.row_group(group).num_rows for group in range(facts.num_row_groups)]
    return column.to_numpy().astype(np.int64), sizes


def _check_labels(labels: np.ndarray, columns: Columns, name: str) -> None:
    if not len(labels):
        raise UserError(f"{name} has no images.")
    if labels.min() < 0:  # how the labels of a contest are kept secret
        raise UserError(
            f"{name} has the label {labels.min()}, which stands for an unknown one; name another "
            f"split."
        )
    if columns.classes and labels.max() >= len(columns.classes):
        raise UserError(
            f"{name} has the label {labels.max()}, but names of {len(columns.classes)} classes "
            f"only."
        )


def _read(file: Path, column: str, name: str, group: int | None = None) -> pa.ChunkedArray:
    """Return a column of a file, or of one of its groups of rows.

    Raises:
        UserError: if the file is not Parquet or has no such column.
    """
    try:
        with pq.ParquetFile(file) as opened:
            if column not in opened.schema_arrow.names:
                raise UserError(f"{file.name}, of {name}, has no column '{column}'.")
            if group is None:
                return opened.read([column])[column]
            return opened.read_row_group(group, [column])[column]
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{file.name}, of {name}, is not a complete Parquet file ({shortened(error, 200)})."
        ) from error
