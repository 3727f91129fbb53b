"""The normal form of Python source: the same for files that differ in comments and layout only.

It is a walk over the syntax tree that leaves out what does not change what code does, and what
differs between versions of Python: positions, the way a string is quoted, docstrings, and fields
that are empty. It is the same under Python 3.11, 3.12 and 3.13 for code that all of them read.
"""

import ast
import hashlib
import warnings
from collections.abc import Iterator

_LEFT_OUT = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
"""Fields that say nothing: they follow from the place of a node, or are comments."""

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def parse(source: bytes) -> ast.Module | None:
    """Return the syntax tree of a file; None if this Python cannot read it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes such as "\d"
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def hash_of(tree: ast.Module) -> str:
    """Return the sha256 of a tree's normal form, in hexadecimal."""
    digest = hashlib.sha256()
    for token in _tokens(tree):
        digest.update(f"{token}\n".encode())
    return digest.hexdigest()


def _tokens(tree: ast.AST) -> Iterator[str]:
    """Yield the normal form; without recursion, since expressions can be nested deeply."""
    rest: list[ast.AST | str] = [tree]
    while rest:
        node = rest.pop()
        if isinstance(node, str):
            yield node
        else:
            rest += reversed(_parts(node))


def _parts(node: ast.AST) -> list[ast.AST | str]:
    """Return the opening of a node, its fields and its end; each text is one token."""
    parts: list[ast.AST | str] = [f"({type(node).__name__}"]
    for name, value in _fields(node):
        if isinstance(value, list):
            parts += [f"{name}=[", *map(_part, value), "]"]
        else:
            parts += [f"{name}=", _part(value)]
    return [*parts, ")"]


def _fields(node: ast.AST) -> Iterator[tuple[str, object]]:
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(node, _DOCUMENTED) and ast.get_docstring(node) is not None:
            value = value[1:]
        elif name == "values" and isinstance(node, ast.JoinedStr):
            value = _joined(value)
        if name not in _LEFT_OUT and value is not None and value != []:
            yield name, value


def _part(value: object) -> ast.AST | str:
    if isinstance(value, ast.AST):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:#x}"  # Python refuses to print long ones in decimal
    return ascii(value)  # which characters repr() shows depends on the version of Unicode


def _joined(values: list[ast.expr]) -> list[ast.expr]:
    """Return the parts of an f-string with adjacent texts joined: versions of Python split them."""
    joined: list[ast.expr] = []
    for value in values:
        last = joined[-1] if joined else None
        if not isinstance(value, ast.Constant) or not isinstance(value.value, str):
            joined.append(value)
        elif isinstance(last, ast.Constant) and isinstance(last.value, str):
            joined[-1] = ast.Constant(last.value + value.value)
        elif value.value:
            joined.append(value)
    return joined
