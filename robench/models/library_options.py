"""Which options of a library's architecture a stranger may choose: numbers, and no files."""

from collections.abc import Mapping
from typing import Any

from robench.errors import UserError
from robench.expressions import parse_expression

LARGEST_OPTION = 30_000
"""The largest accepted option of a library's architecture; ImageNet-21k has 21,841 classes."""

_POOLING = "global_pool"
"""The option that timm writes into each configuration: the name of a kind of pooling."""


def check_library_options(architecture: str) -> None:
    """Refuse options of a library's architecture that could load files or need much memory.

    Raises:
        UserError: if there is such an option; the message names it.
    """
    call = parse_expression(architecture.partition(":")[2])
    if (name := _odd(call.options, text=False)) is not None:
        raise UserError(
            f"'{architecture[:80]}': the option '{name[:40]}' is not accepted in a submission; "
            f"only options of the architecture itself are, with numbers up to {LARGEST_OPTION}."
        )


def check_repository_options(options: Mapping[str, Any], where: str) -> None:
    """Refuse options in a repository's configuration that could load files or need much memory.

    Args:
        options: name -> value; names of layers, which are text, are accepted.
        where: the file that has them, for the message.

    Raises:
        UserError: if there is such an option; the message names it.
    """
    if (name := _odd(options, text=True)) is not None:
        raise UserError(
            f"{where}: the option '{name[:40]}' is not accepted; only options of the architecture "
            f"itself are, with numbers up to {LARGEST_OPTION}."
        )


def _odd(options: Mapping[str, Any], *, text: bool) -> str | None:
    """Return the name of the first option that is not accepted; ``text`` and lists may be."""
    for name, value in options.items():
        if name == _POOLING and isinstance(value, str) and value.isalnum() and len(value) <= 20:
            continue
        loads = any(word in name for word in ("pretrained", "weights", "checkpoint", "cache"))
        values = value if text and isinstance(value, list) else [value]
        if loads or not all(v is None or _is_plain(v, text=text) for v in values):
            return name
    return None


def _is_plain(value: Any, *, text: bool) -> bool:
    if isinstance(value, str):
        return text
    return isinstance(value, (bool, int, float)) and abs(value) <= LARGEST_OPTION
