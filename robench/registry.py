"""Registries: map the names that boards use to the entries that implement them.

Entries have three sources: the suite's own files (``defenses/``, ``attacks/``, ...), the entry
points ``robench.defenses``, ``robench.attacks``, ``robench.datasets``, ``robench.backbones``,
``robench.checks``, ``robench.training_methods`` of installed packages, and a user's own file
(:mod:`robench.plugins`). The first look-up imports the first two.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from torch import nn

from robench.base import Attack, Defense, TrainingMethod
from robench.discovery import import_entries
from robench.entries import Entry, Library, instead_of, missing_package, summary_of
from robench.entry_rules import check_class, check_hooks, check_name, check_not_taken
from robench.errors import UserError, did_you_mean, shortened
from robench.expressions import Expression, parse_expression
from robench.origins import origin_of
from robench.shipped import identity_of
from robench.signatures import build_checked, inherited, not_a_field, option_names

T = TypeVar("T")
Target = TypeVar("Target", bound=Callable[..., Any])


class Registry(Generic[T]):
    """A mapping from names to entries of one kind.

    Args:
        kind: what an entry is, as error messages call it ("defense").
        source: the package (or module) whose modules register themselves on import.
        group: the group of entry points through which other packages add entries.
        given: the parameters of every entry that are passed first, by position; its other
            parameters are its options.
        base: the class that classes of this kind inherit from; None for functions.
    """

    def __init__(
        self,
        kind: str,
        source: str,
        group: str,
        given: Sequence[str] = (),
        base: type[Any] | None = None,
    ) -> None:
        self.kind = kind
        self.given = tuple(given)
        self._base = base
        self._source = source
        self._group = group
        self._entries: dict[str, Entry[T]] = {}
        self._libraries: dict[str, Library[T]] = {}
        self._sources: dict[str, str] = {}
        self._discovered = False

    def register(self, name: str, *, reference: str = "") -> Callable[[Target], Target]:
        """Decorate a class or function to register it as ``name``.

        Args:
            name: its name on boards: lower-case letters, digits, ``_``, starting with a letter.
            reference: where it was published ("arXiv:2103.00673"), shown in lists.

        Raises:
            UserError: if the name is malformed or taken, a class is not of this kind or builds
                itself, or a hook of a defense is misspelled.
        """
        check_name(self.kind, name)

        def decorate(target: Target) -> Target:
            # Now, while its module is executed: what is in memory stays, whatever its file becomes.
            own = origin_of(sys._getframe(1), target)
            if taken := self._entries.get(name):
                check_not_taken(self.kind, taken, target, own.file)
            check_class(target, self._base)
            check_hooks(target)
            about = (summary_of(target), reference)
            self._entries[name] = Entry(name, target, *about, own.file, own.source, own.tree)
            return target

        return decorate

    def register_library(self, prefix: str, library: Library[T]) -> None:
        """Register the entries of another library as ``prefix:NAME``."""
        self._libraries[prefix] = library
        self._sources[prefix] = origin_of(sys._getframe(1)).source

    def get(self, name: str) -> Entry[T]:
        """Return the entry called ``name``.

        Raises:
            UserError: if there is no entry of that name; the message names the nearest ones.
        """
        self.discover()
        prefix, colon, rest = name.partition(":")
        if colon and prefix in self._libraries:
            return self._libraries[prefix].entry(rest)
        if name not in self._entries:
            known = {n: self._options(e) for n, e in self._entries.items()}
            hint = instead_of(name, known, self._source, plugin_files)
            raise UserError(f"no {self.kind} is named '{shortened(name)}'; {hint}")
        return self._entries[name]

    def source_identity(self, expression: str | Expression) -> str | None:
        """Return what the source of an entry adds to the identity of results.

        Returns:
            None for an entry of the suite as it is shipped (:mod:`robench.shipped`), otherwise the
            hash of its source (:mod:`robench.sources`) as it was when the entry was registered.

        Raises:
            UserError: if there is no entry of that name.
        """
        entry = self.get(self._resolve(expression).name)
        prefix = entry.name.partition(":")[0]  # of a library: the file that adapts it counts
        return identity_of(self.kind, prefix, entry.source or self._sources[prefix])

    def entries(self) -> list[Entry[T]]:
        """Return the registered entries, without those of libraries."""
        self.discover()
        return list(self._entries.values())

    def state(self) -> tuple[dict[str, Any], ...]:
        """Return what is registered, for :meth:`restore`."""
        self.discover()
        return dict(self._entries), dict(self._libraries), dict(self._sources)

    def restore(self, state: tuple[dict[str, Any], ...]) -> None:
        """Register exactly what was registered when ``state`` was taken."""
        self._entries, self._libraries, self._sources = map(dict, state)

    def forget(self, file: Path) -> None:
        """Take out the entries of a file, which is about to be executed again."""
        gone = [name for name, entry in self._entries.items() if entry.file == str(file)]
        for name in gone:
            del self._entries[name]

    def options(self, expression: str | None = None) -> set[str]:
        """Return the names of the options of one entry, or of all entries.

        Raises:
            UserError: for an unknown name.
        """
        names = list(self) if expression is None else [self._resolve(expression).name]
        return {option for name in names for option in self._options(self.get(name))}

    def lookup(self, expression: str | Expression) -> tuple[Entry[T], dict[str, Any]]:
        """Return the entry that an expression names, and the options that it sets.

        Raises:
            UserError: for an unknown name, or an option that the entry does not have.
        """
        parsed = parse_expression(expression) if isinstance(expression, str) else expression
        resolved = self._resolve(parsed)
        entry = self.get(resolved.name)
        valid = self._options(entry)
        for option in resolved.options:
            if option not in valid:
                hints: Mapping[str, str] = getattr(entry.build, "absent_options", {})
                hint = hints.get(option) or not_a_field(entry.build, option)
                raise UserError(
                    f"{self.kind} '{shortened(parsed.name)}' has no option '{shortened(option)}'; "
                    f"{hint or did_you_mean(option, valid)}"
                )
        return entry, dict(resolved.options)

    def build(
        self,
        expression: str | Expression,
        defaults: Mapping[str, Any] | None = None,
        given: Sequence[Any] = (),
    ) -> T:
        """Build the entry that an expression names, validating options against its signature.

        ``pgd-20`` is short for ``pgd(steps=20)`` if the entry has the option ``steps``.

        Args:
            expression: the entry's name and options, as text or parsed.
            defaults: values for options that the expression leaves out; see :meth:`inherited`.
            given: values of the registry's ``given`` parameters.

        Raises:
            UserError: for an unknown name or option, or a value of the wrong type or range.
        """
        parsed = parse_expression(expression) if isinstance(expression, str) else expression
        entry, options = self.lookup(parsed)
        taken = self.inherited(parsed, defaults or {})
        if package := missing_package(entry):
            raise UserError(
                f"{self.kind} '{entry.name}' needs the package {package}, which is not installed: "
                f"pip install '{package}'."
            )
        what = f"{self.kind} '{shortened(expression, 120)}'"
        return build_checked(entry.build, {**taken, **options}, what, given, self.given, entry.name)

    def inherited(
        self, expression: str | Expression, defaults: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the defaults that an entry takes: those of its options that the call leaves out.

        Options that belong together stay together: an attack that sets a radius of its own takes
        no step size that is meant for another one (:mod:`robench.base.inheritance`).

        Raises:
            UserError: for an unknown name or option.
        """
        entry, options = self.lookup(expression)
        return inherited(entry.build, options, defaults, len(self.given))

    def _options(self, entry: Entry[T]) -> list[str]:
        return option_names(entry.build, len(self.given))

    def names(self) -> list[str]:
        """Return the registered names, sorted, without those of libraries."""
        self.discover()
        return sorted(self._entries)

    def library_names(self) -> list[str]:
        """Return the names ``prefix:NAME`` of all libraries."""
        self.discover()
        return [f"{p}:{name}" for p, library in self._libraries.items() for name in library.names()]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def knows(self, name: str) -> bool:
        """Return whether an entry, or a library of entries, is registered under this name."""
        self.discover()
        return name in self._entries or name in self._libraries

    def __contains__(self, name: object) -> bool:
        self.discover()
        return name in self._entries

    def _resolve(self, expression: str | Expression) -> Expression:
        """Return the expression with a shorthand such as ``pgd-20`` spelled out."""
        self.discover()
        parsed = parse_expression(expression) if isinstance(expression, str) else expression
        short = re.fullmatch(r"(.+)-([0-9]{1,18})", parsed.name)
        if parsed.name in self._entries or not short or short[1] not in self._entries:
            return parsed
        if "steps" in parsed.options:
            raise UserError(f"'{shortened(parsed.name)}' says how many steps; leave steps out.")
        return Expression(short[1], {"steps": int(short[2]), **parsed.options})

    def discover(self) -> None:
        """Import the entries of the suite and of installed packages, once."""
        if self._discovered:
            return
        self._discovered = True  # at once, since entries may ask for others while they load
        try:
            import_entries(self.kind, self._source, self._group)
        except BaseException:
            self._discovered = False  # so that the next call says the same
            raise


defenses: Registry[Defense] = Registry(
    "defense", "robench.defenses", "robench.defenses", base=Defense
)
attacks: Registry[Attack] = Registry("attack", "robench.attacks", "robench.attacks", base=Attack)
datasets: Registry[Any] = Registry(
    "data set", "robench.datasets", "robench.datasets", given=("data_dir",)
)
backbones: Registry[nn.Module] = Registry(
    "backbone",
    "robench.backbones",
    "robench.backbones",
    given=("num_classes", "in_channels", "width", "stem"),
)
# Entries are of type robench.checks.Check, which is in a higher layer.
checks: Registry[Any] = Registry("check", "robench.checks.entries", "robench.checks")
training_methods: Registry[TrainingMethod] = Registry(
    "training method", "robench.training.methods", "robench.training_methods", base=TrainingMethod
)

REGISTRIES: tuple[Registry[Any], ...] = (
    defenses,
    attacks,
    datasets,
    backbones,
    checks,
    training_methods,
)
"""All registries."""

plugin_files: set[str] = set()
"""The user files that :func:`robench.plugins.load_plugin` has loaded."""

register_defense = defenses.register
register_attack = attacks.register
register_attack_library = attacks.register_library
register_dataset = datasets.register
register_backbone = backbones.register
register_check = checks.register
register_training_method = training_methods.register
