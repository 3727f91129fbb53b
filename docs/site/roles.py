"""An extension of griffe: ``:class:`NAME``` in docstrings is shown as code."""

from typing import Any

import griffe

from docs.site.markdown import prose


class Roles(griffe.Extension):
    """Replace the roles of docstrings, which Markdown does not know, by code."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Change the docstring of an object, before mkdocstrings reads it."""
        if obj.docstring:
            obj.docstring.value = prose(obj.docstring.value)
