"""Which columns of a data set of the hub are the images and their labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets import ClassLabel, Image, Value

from robench.data.hub_layout import listed
from robench.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Columns:
    """The two columns of a data set that are read.

    Attributes:
        image: the column of the images.
        label: the column of the labels.
        classes: the names of the classes; empty if the labels have none.
    """

    image: str
    label: str
    classes: tuple[str, ...]


def columns_of(name: object, features: Mapping[str, Any], image: str, label: str) -> Columns:
    """Return the columns of images and labels, found by their types unless they are named.

    Args:
        name: the repository, for messages.
        features: the name and the type of each column.
        image: the column of the images; empty for the only one.
        label: the column of the labels; empty for the only one with names of classes.

    Raises:
        UserError: if there is none or more than one, or a named one is missing or of another type.
    """
    images = [column for column, kind in features.items() if isinstance(kind, Image)]
    labels = [column for column, kind in features.items() if isinstance(kind, ClassLabel)]
    image = _column(name, list(features), images, image, ("image", "images"))
    label = _column(name, list(features), labels, label, ("label", "class labels"))
    if not _holds_images(features[image]):
        raise UserError(f"the column '{image}' of {name} holds no images, but {features[image]}.")
    if not _holds_labels(features[label]):
        raise UserError(
            f"the column '{label}' of {name} holds no labels, but {features[label]}; a label is a "
            f"whole number that counts from 0."
        )
    kind = features[label]
    return Columns(image, label, tuple(kind.names or ()) if isinstance(kind, ClassLabel) else ())


def _column(
    name: object, there: Sequence[str], found: Sequence[str], asked: str, words: tuple[str, str]
) -> str:
    option, plural = words
    if asked:
        if asked not in there:
            raise UserError(f"{name} has no column '{asked}'; {did_you_mean(asked, there)}")
        return asked
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(
            f"{name} has several columns of {plural}, {listed(found)}; choose one, such as "
            f"({option}='{found[0]}') after the name."
        )
    raise UserError(
        f"{name} has no column that is declared to hold {plural}; its columns are "
        f"{listed(there)}: name one as ({option}='COLUMN') after the name."
    )


def _holds_images(kind: Any) -> bool:
    """Return whether a column holds the content of image files, declared as images or not."""
    if isinstance(kind, dict):  # what an image is stored as
        kind = kind.get("bytes")
    return isinstance(kind, Image) or (isinstance(kind, Value) and kind.dtype.endswith("binary"))


def _holds_labels(kind: Any) -> bool:
    return isinstance(kind, ClassLabel) or (isinstance(kind, Value) and "int" in kind.dtype)
