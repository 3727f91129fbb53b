"""The boards that ship with robench; importing this costs nothing, so that shells complete fast."""

from importlib.resources import files
from pathlib import Path


def shipped_boards() -> dict[str, Path]:
    """Return the boards that ship with robench: name -> path of ``board.toml``."""
    root = Path(str(files("robench.boards")))
    return {path.parent.name: path for path in sorted(root.glob("*/board.toml"))}
