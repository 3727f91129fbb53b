"""Where an entry comes from: the module that registers it, and its source.

A project's own decorator, or a factory, calls ``register`` from a file of its own. An entry comes
from the module that is executed meanwhile, since an edit of that one changes the entry, and since
the code that is published with a board has to begin there.
"""

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from robench.sources import PLUGIN_PREFIX, is_beside, is_installed, running_source, source_hash


@dataclass(frozen=True)
class Origin:
    """Where an entry comes from.

    Attributes:
        file: the file that registers it, or ``<module>`` in a notebook.
        tree: the hash of the source of that file.
        source: the hash of all of the entry's source, which is the same unless the entry is
            defined in a file that is not beside it.
    """

    file: str
    tree: str
    source: str


def origin_of(caller: FrameType, target: Any = None) -> Origin:
    """Return where an entry comes from, as it is now.

    Args:
        caller: the frame that calls ``register``.
        target: what is registered; None for a library, which has no entry of its own here.

    Raises:
        UserError: if a file cannot be read.
    """
    module = _registering(caller)
    tree = running_source(module.f_code)
    file = Path(module.f_code.co_filename)
    hashes = [tree, *_others(file, caller, target)]
    lines = "".join(f"{digest}\n" for digest in hashes)
    source = tree if len(hashes) == 1 else hashlib.sha256(lines.encode()).hexdigest()
    name = str(file.resolve()) if file.is_file() else f"<{module.f_globals.get('__name__')}>"
    return Origin(name, tree, source)


def _registering(caller: FrameType) -> FrameType:
    """Return the frame of the module that registers an entry: the caller's, or one that calls it.

    A module that neither is a plugin nor imports the caller's file, such as the script that started
    all, only happens to be executed.
    """
    frame: FrameType | None = caller
    while frame is not None and frame.f_locals is not frame.f_globals:
        frame = frame.f_back
    if frame is None or frame is caller:
        return caller
    same = frame.f_globals is caller.f_globals
    plugin = str(frame.f_globals.get("__name__")).startswith(PLUGIN_PREFIX)
    if same or plugin or is_beside(_file(caller), _file(frame)):
        return frame
    return caller


def _others(file: Path, caller: FrameType, target: Any) -> Iterator[str]:
    """Yield the hashes of what else an entry consists of: an earlier cell, a file elsewhere."""
    if not _file(caller).is_file() and _file(caller) != file:
        yield running_source(caller.f_code)
    module = getattr(target, "__module__", None) or ""
    defined = Path(getattr(sys.modules.get(module), "__file__", None) or f"<{module}>").resolve()
    if defined.is_file() and not is_installed(module, defined) and not is_beside(defined, file):
        yield source_hash(defined)


def _file(frame: FrameType) -> Path:
    return Path(frame.f_code.co_filename)
