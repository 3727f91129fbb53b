"""The public Python interface: directives of mkdocstrings for each name that is public."""

import ast

import robench
from docs.site.pages import ROOT


def public_api(group: str) -> str:
    """Return the directives of the public names of a group of modules, such as ``base checks``.

    The names are those of ``robench/__init__.pyi``, where each is written once.
    """
    wanted = group.split()
    return "\n".join(f"::: {_path(name)}" for room, name in public_names() if room in wanted)


def _path(name: str) -> str:
    """Return where a public name is defined: griffe would take some for modules of that name."""
    public = getattr(robench, name)
    home = getattr(public, "__module__", "")
    return f"{home}.{name}" if home.startswith("robench.") else f"robench.{name}"


def public_names() -> list[tuple[str, str]]:
    """Return (room, name) of each public name: ``("base", "Defense")``."""
    stub = ast.parse((ROOT / "robench" / "__init__.pyi").read_text(encoding="utf-8"))
    return [
        (str(node.module).partition(".")[0], alias.name)
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]


def modules(package: str) -> str:
    """Return the directives of all modules of a package, such as ``robench.attack_tools``."""
    folder = ROOT.joinpath(*package.split("."))
    names = sorted(p.stem for p in folder.glob("*.py") if not p.stem.startswith("_"))
    return "\n".join(f"::: {package}.{name}" for name in names)
