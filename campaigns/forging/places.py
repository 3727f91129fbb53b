"""The fields of a document: every leaf, list and table of its JSON form, and what is left out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from robench.board.specs import PUBLISHED
from robench.leaderboard.evidence import BOARD, BoardFile, CellFile

Steps = tuple[str | int, ...]

FREE_KEYS = ("columns", "outcomes", "sources")
"""Tables whose keys are names of things, not of fields."""


@dataclass(frozen=True)
class Place:
    """A place in a document.

    Attributes:
        file: the document.
        path: keys and indices that lead to it.
        kind: a value, a list, a table, or a field of the schema that the document leaves out.
    """

    file: str
    path: Steps
    kind: Literal["value", "list", "table", "absent"]

    @property
    def label(self) -> str:
        """The field that it is: without indices and names of things."""
        text = "board.json" if self.file == BOARD else "manifest"
        before: str | int = ""
        for step in self.path:
            if isinstance(step, int):
                text += "[]"
            else:
                text += ".*" if before in FREE_KEYS else f".{step}"
            before = step
        return text


def places(file: str, document: dict[str, Any]) -> Iterator[Place]:
    """Yield all places of a valid document, after its schema."""
    form = BoardFile if file == BOARD else CellFile
    model = form.model_validate(document, context=PUBLISHED)
    yield from _below(file, (), document, model)


def _below(file: str, path: Steps, value: Any, model: Any) -> Iterator[Place]:
    if isinstance(value, dict):
        if path:
            yield Place(file, path, "table")
        for key, part in value.items():
            inner = model.get(key) if isinstance(model, dict) else getattr(model, key, None)
            yield from _below(file, (*path, key), part, inner)
        if isinstance(model, BaseModel):
            for key in type(model).model_fields:
                if key not in value:
                    yield Place(file, (*path, key), "absent")
    elif isinstance(value, list):
        yield Place(file, path, "list")
        for index, part in enumerate(value):
            inner = model[index] if isinstance(model, Sequence) and index < len(model) else None
            yield from _below(file, (*path, index), part, inner)
    else:
        yield Place(file, path, "value")


def parent_of(document: Any, path: Steps) -> Any:
    """Return the list or table that a path ends in."""
    for step in path[:-1]:
        document = document[step]
    return document
