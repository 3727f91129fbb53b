"""The kinds of entries that ``robench new`` writes; torch-free, since the help lists them."""

from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class NewKind:
    """A kind of entry, written from ``templates/new/<name>.py.txt`` and ``test_<name>.py.txt``.

    Attributes:
        name: what the command calls it.
        folder: where its entries are, from the repository's top; its last part is also the name
            of its registry and of its folder of tests.
        try_it: arguments of ``robench`` that use the entry {name} in {file}.
    """

    name: str
    folder: str
    try_it: str

    @property
    def room(self) -> str:
        """The last part of the folder."""
        return PurePosixPath(self.folder).name


_KINDS = (
    NewKind("defense", "defenses", "run --plugin {file} --defenses {name}"),
    NewKind("attack", "attacks", "attack CHECKPOINT --plugin {file} --attacks {name}"),
    NewKind("dataset", "robench/datasets", "run --plugin {file} --set data.name={name}"),
    NewKind("backbone", "robench/backbones", "run --plugin {file} --set model.name={name}"),
)

NEW_KINDS = {kind.name: kind for kind in _KINDS}
"""By name, in the order of the help."""
