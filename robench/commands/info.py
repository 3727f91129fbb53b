"""``robench info``: everything that an entry says about itself."""

import inspect
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from robench.entries import Entry, missing_package
from robench.errors import UserError, did_you_mean
from robench.expressions import parse_expression, radius_text
from robench.registry import REGISTRIES, Registry, checks
from robench.signatures import option_names


@dataclass(frozen=True)
class Option:
    """An option of an entry.

    Attributes:
        name: its name.
        type: its annotation, as the source has it; empty without one.
        default: its value if it is left out, as Python prints it; empty if it must be given, or
            if another library knows it.
        meaning: what the docstring says about it; empty if it says nothing.
    """

    name: str
    type: str
    default: str
    meaning: str


@dataclass(frozen=True)
class Info:
    """What is known about an entry.

    Attributes:
        kind: what it is, as its registry calls it.
        name: its name.
        summary: one line.
        description: the paragraphs of its docstring, and what its file begins with: its math.
        options: its options.
        reference: where it was published.
        file: the file that defines it; empty if none does.
        missing: the package that it needs if that is not installed, else None.
    """

    kind: str
    name: str
    summary: str
    description: str
    options: tuple[Option, ...]
    reference: str
    file: str
    missing: str | None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)


OTHER_FLAGS = {
    "diverged": "Training ended without finite weights for a seed, so that the row has no figures.",
    "collapsed": "Training lost the accuracy under PGD that it had gained, as its log says.",
    "unproved": "A certificate proves nothing of the network; the page says why.",
    "unsound": "An attack fooled images within their certified radius.",
}
"""The flags of rows that no check gives."""


def describe(name: str) -> list[Info]:
    """Return what is known about the entries of a name, in all registries.

    Args:
        name: a name such as ``pgd``, of which there is an attack and a training method; what
            follows it in an expression (``pgd-20(eps=0.1)``) does not matter. The name of a flag,
            such as ``large_eps``, stands for the check that finds it, if there is one.

    Raises:
        UserError: if no registry has it; the message names the nearest.
    """
    wanted = parse_expression(name).name
    found = [_info(registry, entry) for registry, entry in _entries(wanted)]
    found = found or [_info(checks, checks.get(name)) for name in checks if _finds(name, wanted)]
    if found:
        return found
    if wanted in OTHER_FLAGS:
        return [Info("flag", wanted, OTHER_FLAGS[wanted], "", (), "docs/checks.md", "", None)]
    for registry in REGISTRIES:
        if ":" in wanted and registry.knows(wanted.partition(":")[0]):
            registry.get(wanted)  # says what is wrong, such as a library that is not installed
    names = {each for registry in REGISTRIES for each in [*registry, *registry.library_names()]}
    names |= set(OTHER_FLAGS)
    raise UserError(f"no entry is named '{wanted}'; {did_you_mean(wanted, names)}")


def _finds(check: str, flag: str) -> bool:
    return missing_package(checks.get(check)) is None and flag in checks.build(check).findings


def _entries(name: str) -> Iterator[tuple[Registry[Any], Entry[Any]]]:
    for registry in REGISTRIES:
        with suppress(UserError):
            yield registry, registry.lookup(name)[0]


def _info(registry: Registry[Any], entry: Entry[Any]) -> Info:
    return Info(
        kind=registry.kind,
        name=entry.name,
        summary=_plain(entry.summary),
        description="\n\n".join(filter(None, (_paragraphs(entry.build), _beginning(entry.build)))),
        options=tuple(_options(entry.build, len(registry.given))),
        reference=entry.reference,
        file=entry.file,
        missing=missing_package(entry),
    )


def _options(build: Any, given: int) -> Iterator[Option]:
    parameters, known = inspect.signature(build).parameters, meanings(build)
    for name in option_names(build, given):
        kind, default = parameters[name].annotation, parameters[name].default
        yield Option(
            name,
            "" if kind is inspect.Parameter.empty else _type(kind),
            "" if inspect.Parameter.empty in (kind, default) else _value(default),
            known.get(name, ""),
        )


def _paragraphs(build: Any) -> str:
    """Return a docstring without its first line and its sections."""
    text = inspect.getdoc(build) or ""
    return _plain(_SECTION.split(text)[0].partition("\n")[2]).strip("\n")


def _beginning(build: Any) -> str:
    """Return the docstring of the module of an entry."""
    return _plain(inspect.cleandoc(getattr(inspect.getmodule(build), "__doc__", None) or ""))


def meanings(build: Any) -> dict[str, str]:
    """Return what the docstrings of a class or function, and of its bases, say of its options."""
    known: dict[str, str] = {}
    for each in reversed(build.__mro__ if isinstance(build, type) else [build]):
        _, *sections = _SECTION.split(inspect.cleandoc(each.__doc__ or ""))
        for title, lines in zip(sections[::2], sections[1::2], strict=True):
            if title in ("Args", "Attributes"):
                found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", lines, re.MULTILINE)
                known |= {name: _plain(" ".join(text.split())) for name, text in found}
    return known


_SECTION = re.compile(r"^(Args|Attributes|Example|Raises|Returns|Yields):\n", re.MULTILINE)
"""The headings of a docstring's sections."""


def _plain(text: str) -> str:
    """Return a text without the markup of docstrings."""
    return re.sub(r":\w+:`~?([^`]*)`", r"\1", text).replace("``", "")


def _type(annotation: Any) -> str:
    """Return the type of an option as a user reads it, without the ranges that are checked."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return " | ".join(map(repr, arguments))
    if origin in (Union, UnionType):
        return " | ".join("None" if each is NoneType else _type(each) for each in arguments)
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _value(default: Any) -> str:
    return radius_text(default) if isinstance(default, float) else repr(default)
