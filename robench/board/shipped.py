"""The boards that ship with robench; importing this costs nothing, so that shells complete fast."""

from importlib.resources import files
from pathlib import Path


def shipped_boards() -> dict[str, Path]:
    """Return the boards of classifiers that ship with robench: name -> path of ``board.toml``."""
    return {name: path for name, path in all_shipped_boards().items() if not _names_gans(path)}


def shipped_gan_boards() -> dict[str, Path]:
    """Return the boards of GANs that ship with robench, likewise."""
    return {name: path for name, path in all_shipped_boards().items() if _names_gans(path)}


def all_shipped_boards() -> dict[str, Path]:
    """Return the boards of both kinds."""
    root = Path(str(files("robench.boards")))
    return {path.parent.name: path for path in sorted(root.glob("*/board.toml"))}


def _names_gans(path: Path) -> bool:
    """Return whether a shipped board has a table ``[gan]``, without the parser of TOML."""
    return any(line.strip() == "[gan]" for line in path.read_text(encoding="utf-8").splitlines())
