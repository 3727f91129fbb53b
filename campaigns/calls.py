"""The calls by which a process changes files: counted, recorded, made to fail, or to kill it.

Only calls on paths below one folder count. They are patched in Python, in a forked process: what
a library opens or writes by itself, below Python, is not reached. robench writes everything by
``os.write`` (:mod:`robench.system.files`); safetensors alone reads its files in its own code.
"""

import builtins
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHANGES = ("write", "fsync", "replace", "rename", "mkdir", "unlink", "rmdir", "chmod")
"""The functions of ``os`` that change files, besides ``open``."""


@dataclass(frozen=True)
class Call:
    """One call.

    Attributes:
        number: counted from 0.
        name: of the function, such as ``fsync``.
        path: what it is about, relative to the folder; the target of a rename.
        source: what is renamed, relative to the folder; else empty.
        data: what is written; else empty.
    """

    number: int
    name: str
    path: str
    source: str = ""
    data: bytes = b""


Watcher = Callable[[Call], "bytes | None"]
"""Called before each call, which it may prevent by raising; bytes that it returns are written."""

After = Callable[[Call], None]


class Watch:
    """Calls of this process on a folder, reported to watchers; installed for good.

    Args:
        folder: the folder; calls on other paths are left alone.
        before: called before each call.
        after: called after each call that succeeded.
    """

    def __init__(self, folder: Path, before: Watcher, after: After | None = None) -> None:
        self.folder = str(folder.resolve())
        self.before, self.after = before, after
        self.count = 0
        self.inside = False  # what the watchers do themselves is not watched

    def install(self) -> None:
        """Replace the functions."""
        for name in CHANGES:
            setattr(os, name, self._watched(name, getattr(os, name)))
        os.open = self._watched("open", os.open)
        builtins.open = io.open = self._watched("open", open)

    def _watched(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **keywords: Any) -> Any:
            path = None if self.inside else self._path(arguments[0])
            if path is None:
                return call(*arguments, **keywords)
            source = ""
            if name in ("replace", "rename"):
                source, path = path, self._path(arguments[1]) or ""
            data = bytes(arguments[1]) if name == "write" else b""
            event = Call(self.count, name, path, source, data)
            self.count += 1
            changed = self._tell(self.before, event)
            if changed is not None:
                arguments = (arguments[0], changed, *arguments[2:])
            result = call(*arguments, **keywords)
            if self.after is not None:
                self._tell(self.after, event)
            return result

        return watched

    def _tell(self, watcher: Callable[[Call], Any], event: Call) -> Any:
        self.inside = True
        try:
            return watcher(event)
        finally:
            self.inside = False

    def _path(self, what: Any) -> str | None:
        """Return a path or descriptor relative to the folder; None if it is elsewhere."""
        try:
            if isinstance(what, int):
                what = os.readlink(f"/proc/self/fd/{what}")  # noqa: PTH115 - pathlib is watched
            path = os.path.abspath(os.fsdecode(what))  # noqa: PTH100 - links stay as they are
        except (OSError, TypeError, ValueError):
            return None
        if path != self.folder and not path.startswith(self.folder + os.sep):
            return None
        return os.path.relpath(path, self.folder)
