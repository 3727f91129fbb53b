"""Which test images a network is attacked on, if not a class-balanced sample of them."""

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from robench.data.dataset import DataSet
from robench.data.images import Images
from robench.data.notices import notify
from robench.errors import UserError, shortened
from robench.system.array_files import read_npy
from robench.system.files import expanded
from robench.system.json_files import parse_json
from robench.system.reading import LIST_BYTES, Refused, read_text

_MOST = 2**31

ENDINGS = (".txt", ".csv", ".json", ".npy")


@dataclass(frozen=True, eq=False)
class Selection:
    """Test images by their indices.

    Attributes:
        text: how the user wrote it.
        indices: (N,) int64, in the order in which the images are attacked; none occurs twice.
    """

    text: str
    indices: Tensor

    def take(self, dataset: DataSet) -> Images:
        """Return these test images, in this order; a warning says if all are of one class.

        Raises:
            UserError: if the data set has fewer test images than an index says.
        """
        count, largest = len(dataset.test), int(self.indices.max())
        if largest >= count:
            raise UserError(
                f"--indices {self.text} has the index {largest}, but {dataset.name} has {count} "
                f"test images, 0 to {count - 1}."
            )
        chosen = dataset.test.take(self.indices)
        if len(chosen) > 1 and len(chosen.labels.unique()) == 1:
            notify(
                f"all of the images of --indices {self.text} have the label "
                f"{int(chosen.labels[0])}: the test images of {dataset.name} may be sorted by "
                f"class, as those of folders are."
            )
        return chosen


def read_selection(text: str) -> Selection:
    """Read ``first:N``, ``range:A:B`` (A to B - 1), or the name of a file of indices.

    A file has one index per line (``.txt``), a column ``index`` (``.csv``), a list (``.json``), or
    an array (``.npy``).

    Raises:
        UserError: if it is none of these, or an index is no whole number, negative or given twice.
    """
    if match := re.fullmatch(r"first[: ](\d+)", text):
        start, stop = 0, int(match[1])
    elif match := re.fullmatch(r"range[: ](\d+):(\d+)", text):
        start, stop = int(match[1]), int(match[2])
    else:
        return Selection(text, _checked(_read_file(text), text))
    if start >= stop:
        least = f"range:{start}:{start + 1}" if text.startswith("range") else "first:1"
        raise UserError(
            f"--indices {text} has no images: the last number is the first index that is left "
            f"out; write {least} for one image."
        )
    if stop > _MOST:
        raise UserError(
            f"--indices {text} has too many images; the last number is {_MOST} or less."
        )
    return Selection(text, torch.arange(start, stop))


def _read_file(text: str) -> list[object]:
    path = expanded(text)
    if path.suffix.lower() not in ENDINGS or not path.is_file():
        raise UserError(
            f"--indices {text}: write first:1000, range:A:B, or the name of an existing file of "
            f"indices ({', '.join(ENDINGS)})."
        )
    try:
        return _READERS[path.suffix.lower()](path)
    except Refused as error:
        raise UserError(f"{path} cannot be read as a list of indices ({error.reason}).") from error
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as a list of indices ({error}).") from error


def _text(path: Path) -> str:
    """Return a file's text without the mark that some editors put at the beginning."""
    return read_text(path, longest=LIST_BYTES).removeprefix("\ufeff")


def _read_txt(path: Path) -> list[object]:
    text = _text(path)
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def _read_csv(path: Path) -> list[object]:
    rows = csv.DictReader(io.StringIO(_text(path), newline=""))
    if "index" not in (rows.fieldnames or []):
        raise ValueError("it has no column 'index'")
    return [row["index"] for row in rows]


def _read_json(path: Path) -> list[object]:
    values = parse_json(_text(path).encode())
    if not isinstance(values, list):
        raise ValueError("it is not a list")
    return values


def _read_npy(path: Path) -> list[object]:
    values = read_npy(path)
    if values.ndim != 1:
        raise ValueError("it is not a one-dimensional array")
    return list(values.tolist())


_READERS = {".txt": _read_txt, ".csv": _read_csv, ".json": _read_json, ".npy": _read_npy}


def _checked(values: list[object], text: str) -> Tensor:
    """Return the values as indices."""
    if not values:
        raise UserError(f"--indices {text} has no index.")
    for value in values:
        digits = value if isinstance(value, str) else repr(value)
        if isinstance(value, bool) or not re.fullmatch(r"\d{1,10}", digits):
            raise UserError(
                f"--indices {text}: '{shortened(digits)}' is not an index; they are whole numbers "
                f"from 0."
            )
    numbers = [int(str(value)) for value in values]
    index, times = Counter(numbers).most_common(1)[0]
    if times > 1:
        raise UserError(f"--indices {text} has the index {index} {times} times; give it once.")
    return torch.tensor(numbers, dtype=torch.int64)
