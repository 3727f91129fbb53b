"""The kinds of entries that ``robench new`` writes; free of torch, since the help lists them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NewKind:
    """A kind of entry, written from ``templates/new/<name>.py.txt`` and ``test_<name>.py.txt``.

    Attributes:
        name: the name of the kind on the command line.
        folder: the folder of the built-in entries, relative to the repository's root.
        plural: the name of its registry, of its folder of tests, and of the folder for entries
            outside a checkout of the suite.
        try_it: arguments of ``robench`` that use the entry {name} in {file}.
    """

    name: str
    folder: str
    plural: str
    try_it: str


_KINDS = (
    NewKind("defense", "defenses", "defenses", "run --plugin {file} --defenses {name}"),
    NewKind("attack", "attacks", "attacks", "attack CHECKPOINT --plugin {file} --attacks {name}"),
    NewKind(
        "dataset", "robench/datasets", "datasets", "run --plugin {file} --set data.name={name}"
    ),
    NewKind(
        "backbone", "robench/backbones", "backbones", "run --plugin {file} --set model.name={name}"
    ),
    NewKind("check", "robench/checks/entries", "checks", "run --plugin {file}"),
)

NEW_KINDS = {kind.name: kind for kind in _KINDS}
"""By name, in the order of the help."""
