"""Embed data in an HTML file so that they stay data, and allow only our scripts to run."""

import base64
import gzip
import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

# None of these may appear in a <script>: they could end it, open a comment or a character
# reference; the last two end a line in JavaScript but not in JSON.
HARMLESS = {ord(c): f"\\u{ord(c):04x}" for c in "<>&'\u2028\u2029"}


def json_for_html(value: Any) -> Markup:
    """Return compact JSON that can stand in a ``<script type="application/json">``.

    Whatever the strings hold, the result contains no tag and no end of the script. A number that is
    not finite becomes null.
    """
    return Markup(_json(value).translate(HARMLESS))


def packed(value: Any) -> str:
    """Return JSON as base64 of gzip: a quarter of the size, and every browser can unpack it.

    The result is deterministic.
    """
    return base64.b64encode(gzip.compress(_json(value).encode(), mtime=0)).decode()


def finite(value: Any) -> Any:
    """Return plain JSON values: NumPy scalars as Python scalars, NaN and infinities as None."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, np.generic):
        return finite(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def policy(scripts: Sequence[str], *, images: bool = False) -> str:
    """Return a Content-Security-Policy under which only these scripts run and nothing is loaded.

    Inline styles are allowed: charts and the markers in the table are styled by attributes.

    Args:
        scripts: the texts of the scripts.
        images: whether the page has pictures in it, as data URIs.
    """
    pictures = "img-src data:; " if images else ""
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts) or "'none'"
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        f"{pictures}base-uri 'none'; form-action 'none'"
    )


def _json(value: Any) -> str:
    return json.dumps(finite(value), separators=(",", ":"), allow_nan=False)


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
