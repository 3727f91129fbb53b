"""Notebooks: as a page of the site, and as a program."""

import json
from typing import Any


def as_page(notebook: str) -> str:
    """Return a notebook as Markdown, its code in blocks; it has no outputs."""
    parts = [
        text if kind == "markdown" else f"```python\n{text}\n```" for kind, text in cells(notebook)
    ]
    return "\n\n".join(parts) + "\n"


def as_program(notebook: str) -> str:
    """Return the code of a notebook, cell after cell."""
    return "\n\n\n".join(text for kind, text in cells(notebook) if kind == "code") + "\n"


def cells(notebook: str) -> list[tuple[str, str]]:
    """Return (kind, text) of each cell."""
    found: list[dict[str, Any]] = json.loads(notebook)["cells"]
    return [(str(cell["cell_type"]), "".join(cell["source"])) for cell in found]
