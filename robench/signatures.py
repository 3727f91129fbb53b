"""Options of an entry: their names, and the validation of values against its signature."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError

from robench.base import RadiusOptions
from robench.errors import UserError, shortened
from robench.expressions import number
from robench.wrong_values import quoted, what_to_write

_NUMBERS = "0.1 or '8/255'"

T = TypeVar("T")


def option_names(build: Callable[..., Any], given: int = 0) -> list[str]:
    """Return the names of the parameters of ``build`` after the first ``given`` positional ones."""
    parameters = inspect.signature(build).parameters.values()
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    return positional[given:] + [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]


def not_a_field(build: Callable[..., Any], option: str) -> str:
    """Return what to do about an option that a class annotates without making a field of it.

    Returns:
        A sentence; "" if the class does not annotate it.
    """
    annotation = (
        vars(build).get("__annotations__", {}).get(option) if inspect.isclass(build) else None
    )
    if annotation is None or "ClassVar" in str(annotation):
        return ""
    return f"to make one of it, write @dataclass(frozen=True) above 'class {build.__name__}'."


def inherited(
    build: Callable[..., Any], own: Mapping[str, Any], defaults: Mapping[str, Any], given: int = 0
) -> dict[str, Any]:
    """Return the defaults that an entry inherits if a call sets its options ``own``.

    Args:
        build: what builds the entry; its attribute ``radius_options``, a
            :class:`robench.base.RadiusOptions`, says which of its options belong together.
        own: the options that the call sets.
        defaults: values for options that the call leaves out, whether the entry has them or not.
        given: number of its positional parameters that are no options.
    """
    own, defaults = ({k: number(v) for k, v in values.items()} for values in (own, defaults))
    options: RadiusOptions | None = getattr(build, "radius_options", None)
    if options is None:
        taken = {k: v for k, v in defaults.items() if k not in own}
    else:
        taken = options.inherited(own, defaults)
    return {k: v for k, v in taken.items() if k in option_names(build, given)}


def check_booleans(value: Any, kinds: frozenset[Any]) -> None:
    """Refuse true and false where a number is meant, and anything else where they are.

    Pydantic takes true for 1 and "yes" for true: a radius would be 1 by mistake.

    Args:
        value: what was given; of a list, each part is looked at.
        kinds: the types that it may have, see :func:`kinds_of`; unknown ones admit everything.

    Raises:
        UserError: if a boolean is given where none is possible, or none where only one is.
    """
    if kinds == {bool} and not isinstance(value, bool):
        raise UserError("write true or false")
    parts = value if isinstance(value, (list, tuple)) else [value]
    if kinds <= _NUMBERS_AND_TEXT and any(isinstance(part, bool) for part in parts):
        raise UserError("true and false stand for no number or text")


_NUMBERS_AND_TEXT = frozenset({int, float, str, NoneType})


def kinds_of(annotation: Any) -> frozenset[Any]:
    """Return the types that an annotation is made of: ``tuple[int, ...] | None`` of two."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kinds_of(inner[0])
    if origin is Literal:
        return frozenset(map(type, inner))
    if origin not in (tuple, list, Union, UnionType):
        return frozenset({annotation})
    return frozenset().union(*(kinds_of(kind) for kind in inner if kind is not Ellipsis))


def build_checked(
    build: Callable[..., T],
    options: Mapping[str, Any],
    what: str,
    given: Sequence[Any] = (),
    names: Sequence[str] = (),
    entry: str = "",
) -> T:
    """Call ``build`` with options validated against its annotations; "8/255" is a number.

    A dataclass is validated as a whole. For a function, which gets the values ``given`` first, by
    position, each option with an annotation is validated.

    Args:
        build: the dataclass or function.
        options: name -> value, of its options.
        what: what it is, for messages.
        given: the values that a function gets first.
        names: what these values are, for messages.
        entry: its name in calls, for messages.

    Raises:
        UserError: for an option left out, a value of the wrong type or range, or a function that
            does not take what it is given; the message begins with ``what``.
    """
    options = {k: number(v) for k, v in options.items()}
    _check_kinds(build, options, what)
    if given:
        _check_takes(build, options, what, given, names)
        return build(*given, **_converted(build, options, what))
    if not is_dataclass(build):
        return build(**options)
    try:
        built: T = _adapter(build).validate_python(options)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = ".".join(map(str, first["loc"]))
        if first["type"] == "missing":
            raise _left_out(build, options, what, entry) from None
        shown = f"{option} = {quoted(first['input'])}: " if option else ""
        raise UserError(f"{what}: {shown}{what_to_write(first, _NUMBERS)}") from None
    return built


def _left_out(
    build: Callable[..., Any], options: Mapping[str, Any], what: str, entry: str
) -> UserError:
    """Return what to write if a call leaves out options that have no default."""
    parameters = inspect.signature(build).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty and p.name not in options]
    call = ", ".join(f"{name}=..." for name in needed)
    return UserError(
        f"{what} needs the option{'s' if len(needed) > 1 else ''} {' and '.join(needed)}: write "
        f"{entry}({call})."
    )


def _check_takes(
    build: Callable[..., Any],
    options: Mapping[str, Any],
    what: str,
    given: Sequence[Any],
    names: Sequence[str],
) -> None:
    """Refuse a function that cannot be called with what it is given."""
    try:
        inspect.signature(build).bind(*given, **options)
    except TypeError as error:
        raise UserError(
            f"{what} cannot be called ({error}): its function must take {', '.join(names)} first, "
            f"in this order; give each further parameter a default."
        ) from None


def _check_kinds(build: Callable[..., Any], options: Mapping[str, Any], what: str) -> None:
    """Refuse booleans for options that are numbers or text, and those for switches."""
    if not options:
        return
    try:
        parameters = inspect.signature(build, eval_str=True).parameters
    except NameError:  # a type that is imported only for type checkers
        return
    for name, value in options.items():
        try:
            check_booleans(value, kinds_of(parameters[name].annotation))
        except UserError as error:
            shown = str(value).lower() if isinstance(value, bool) else repr(value)
            raise UserError(f"{what}: {name} = {shortened(shown)}: {error}.") from None


def _converted(function: Callable[..., Any], options: dict[str, Any], what: str) -> dict[str, Any]:
    try:
        parameters = inspect.signature(function, eval_str=True).parameters
    except NameError:  # a type that is imported only for type checkers
        return options
    return {k: _value(parameters[k].annotation, k, v, what) for k, v in options.items()}


def _value(annotation: Any, name: str, value: Any, what: str) -> Any:
    if annotation is inspect.Parameter.empty:
        return value
    try:
        adapter = TypeAdapter[Any](annotation)
    except PydanticSchemaGenerationError:  # an arbitrary class of the entry's author
        return value
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        message = what_to_write(error.errors(include_url=False)[0], _NUMBERS)
        raise UserError(f"{what}: {name} = {quoted(value)}: {message}") from None


@cache  # to make one takes ten times as long as to use it
def _adapter(target: Any) -> TypeAdapter[Any]:
    config = ConfigDict(arbitrary_types_allowed=True)
    if "__pydantic_config__" not in vars(target):
        target.__pydantic_config__ = config
    return TypeAdapter(target)
