"""The folder that a forger works on: a copy of a submission, with its documents parsed."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError

from robench.board.specs import PUBLISHED
from robench.leaderboard.evidence import BOARD, BoardFile, CellFile
from robench.system.files import json_text

Documents = dict[str, dict[str, Any]]
"""Path relative to the folder -> the value of a JSON file."""


@dataclass
class Draft:
    """A copy of a submission that is being forged.

    Attributes:
        root: its folder.
        documents: its JSON files, which are written by :meth:`write_documents`.
        label: the field that was changed; what follows from it is not changed back.
        keys: manifest -> hash of the specification, as it was before the change.
    """

    root: Path
    documents: Documents
    label: str = ""
    keys: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, root: Path) -> "Draft":
        """Copy a submission to ``root``."""
        shutil.copytree(folder, root)
        names = [BOARD, *(f"manifests/{path.name}" for path in root.glob("manifests/*.json"))]
        documents = {name: json.loads((root / name).read_text()) for name in sorted(names)}
        keys = {name: documents[name]["manifest"]["specification"] for name in documents
                if name != BOARD}  # fmt: skip
        return cls(root, documents, keys=keys)

    @property
    def board(self) -> dict[str, Any]:
        """``board.json``."""
        return self.documents[BOARD]

    @property
    def manifests(self) -> dict[str, dict[str, Any]]:
        """The manifests of all cells, by file."""
        return {name: value for name, value in self.documents.items() if name != BOARD}

    def outcomes(self, name: str) -> dict[str, Path]:
        """Return column -> file of outcomes, of a manifest."""
        manifest = self.documents[name]["manifest"]
        folder = self.root / "outcomes" / self.keys[name]
        return {e["column"]: folder / f"{key}.npz" for key, e in manifest["outcomes"].items()}

    def weights(self, name: str) -> Path:
        """Return the file of the weights of a manifest's cell."""
        return self.root / "weights" / f"{self.keys[name]}.safetensors"

    def drop(self, name: str) -> None:
        """Remove a cell: manifest, outcomes and weights."""
        shutil.rmtree(self.root / "outcomes" / self.keys[name])
        self.weights(name).unlink()
        (self.root / name).unlink()
        del self.documents[name], self.keys[name]

    def write_documents(self) -> None:
        """Write the JSON files."""
        for name, value in self.documents.items():
            (self.root / name).write_text(json_text(value))


def readable(name: str, document: dict[str, Any]) -> bool:
    """Return whether robench would read a document."""
    return _model(name, document) is not None


def meaning(name: str, document: dict[str, Any]) -> Any:
    """Return what robench reads in a document; the document itself if it is not readable."""
    model = _model(name, document)
    return document if model is None else model.model_dump(mode="json")


def _model(name: str, document: dict[str, Any]) -> BaseModel | None:
    form: type[BaseModel] = BoardFile if name == BOARD else CellFile
    try:
        return form.model_validate(document, context=PUBLISHED)
    except (ValidationError, ValueError):
        return None


@dataclass(frozen=True)
class Forgery:
    """A change of one field.

    Attributes:
        label: the field, such as ``manifest.training[].lr``.
        apply: makes the change in a draft, and says what it was; None if there is nothing to
            change.
    """

    label: str
    apply: Callable[[Draft, np.random.Generator], str | None]
