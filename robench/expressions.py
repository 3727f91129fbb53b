"""Entry expressions, in which boards and the command line name entries: ``pgd-20(eps=8/255)``.

An expression is a name, optionally followed by keyword options in Python's literal syntax.
Fractions are numbers, so that an eps can be written as papers write it; nothing is ever executed.
"""

import ast
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from robench.errors import UserError, shortened
from robench.system.values import check_values

_FRACTION = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*/\s*([0-9]*\.?[0-9]+)\s*")
_ROUNDING = 1e-8
"""A radius that is this close to a multiple of 1/255 is one, computed in another order."""
LONGEST_CALL = 500
"""Characters of an expression; the longest of our own has 59."""

_EXPRESSION = re.compile(r"(?P<name>[^\s()]+)\s*(?:\((?P<options>.*)\))?", re.DOTALL)


@dataclass(frozen=True)
class Expression:
    """A name with options, as written in ``name(option=value, ...)``."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the canonical spelling: options sorted, no parentheses without options."""
        if not self.options:
            return self.name
        options = ", ".join(f"{k}={_shown(v)}" for k, v in sorted(self.options.items()))
        return f"{self.name}({options})"


def _shown(value: Any) -> str:
    """Return an option as it is written; a fraction is a number, also as text."""
    is_fraction = isinstance(value, str) and _FRACTION.fullmatch(value)
    return str(value) if is_fraction else repr(value)


def number(value: Any) -> Any:
    """Turn text like ``"8/255"`` into a float; return anything else unchanged."""
    if isinstance(value, str) and (match := _FRACTION.fullmatch(value)):
        numerator, denominator = map(float, match.groups())
        if denominator == 0:
            raise UserError(f"'{shortened(value)}' divides by zero.")
        return numerator / denominator
    return value


def radius_text(eps: float) -> str:
    """Return a radius as papers write it and as users type it: ``8/255`` or ``0.2``.

    A radius that was computed and not typed has four digits.
    """
    levels = round(255 * eps)
    if round(eps, 2) != eps and abs(eps - levels / 255) <= _ROUNDING:
        return f"{levels}/255"
    typed = f"{eps:.6g}"
    return typed if float(typed) == eps else f"{eps:.4g}"


def typed_number(text: str) -> Any:
    """Turn user input such as ``0.1`` or ``8/255`` into a float; return other text unchanged."""
    value = number(text)
    if isinstance(value, float):
        return value
    try:
        return float(text)
    except ValueError:
        return text


def parse_expression(text: str) -> Expression:
    """Parse ``name`` or ``name(option=value, ...)``.

    Raises:
        UserError: if the text is not an expression or an option is not a literal.
    """
    shown = shortened(text)
    if len(text) > LONGEST_CALL:
        raise UserError(
            f"'{shown}' has {len(text)} characters; names with options have at most {LONGEST_CALL}."
        )
    match = _EXPRESSION.fullmatch(text.strip())
    if not match:
        raise UserError(f"'{shown}' is not of the form name or name(option=value, ...).")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python, on what is not an expression of ours
            tree = ast.parse(f"f({match['options'] or ''})", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UserError(
            f"cannot read the options of '{shown}': write name(option=value)."
        ) from None
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name):
        raise UserError(f"'{shown}' is not of the form name or name(option=value, ...).")
    if tree.args or any(k.arg is None for k in tree.keywords):
        raise UserError(f"the options of '{shown}' must be given by name: name(option=value).")
    options: dict[str, Any] = {}
    for keyword in tree.keywords:
        assert keyword.arg is not None
        if keyword.arg in options:
            raise UserError(f"'{shown}' sets {keyword.arg} twice; set it once.")
        options[keyword.arg] = _value(keyword.value, shown)
    return Expression(match["name"], options)


def split_expressions(text: str) -> list[str]:
    """Split ``a,b(x=1,y=2)`` at the commas that are outside parentheses."""
    parts, depth = [""], 0
    for char in text:
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts if part.strip()]


LARGEST_SEED = 2**32 - 1
"""The largest seed of a board: torch takes 64 bits, which a seed and an epoch share."""


def split_titles(text: str, titles: Iterable[str]) -> list[str]:
    """Split at commas like :func:`split_expressions`, but not inside one of ``titles``.

    Titles of rows may contain commas: ``vanilla, 20% noise,batchnorm``.
    """
    known = {", ".join(split_expressions(title)): title for title in titles}
    parts, found = split_expressions(text), []
    while parts:
        ends = (n for n in range(len(parts), 0, -1) if ", ".join(parts[:n]) in known)
        length = next(ends, 1)
        name = ", ".join(parts[:length])
        found.append(known.get(name, name))
        parts = parts[length:]
    return found


def _value(node: ast.expr, shown: str) -> Any:
    """Return the value of an option; a number must fit what tensors and tables hold."""
    try:
        value = _literal(node)
        check_values(list(value) if isinstance(value, (tuple, set)) else value)
    except UserError:  # a fraction that divides by zero
        raise
    except (ValueError, TypeError, SyntaxError, ArithmeticError, MemoryError, RecursionError):
        raise UserError(
            f"cannot read the options of '{shown}': '{shortened(_source(node))}' is not a number, "
            f"a quoted string, true or false."
        ) from None
    return value


def _source(node: ast.expr) -> str:
    """Return an option as Python writes it; a placeholder if it is nested too deeply for that."""
    try:
        return ast.unparse(node)
    except RecursionError:
        return "..."


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        left, right = _literal(node.left), _literal(node.right)
        if isinstance(left, (int, float)) and isinstance(right, (int, float)) and right:
            return left / right
    if isinstance(node, ast.Name) and node.id in ("true", "false"):
        return node.id == "true"
    return number(ast.literal_eval(node))
