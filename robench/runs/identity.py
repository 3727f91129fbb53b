"""The identity of stored outcomes: a hash of everything that they depend on."""

import hashlib
import json
from dataclasses import asdict

from robench.registry import attacks
from robench.runs.context import RunContext

ENGINE_VERSION = 2
"""Part of every outcome's identity; raised when the meaning of an attack changes.

It stands for the engine; the source of the attack itself is part of the identity by its hash.
"""


def outcome_key(name: str, ctx: RunContext) -> str:
    """Return the file name of a column's outcomes: a hash of all they depend on but the cell."""
    identity: dict[str, object] = {
        "engine": ENGINE_VERSION,
        "samples": ctx.evaluation.samples,
        "without": sorted(ctx.evaluation.without),
    }
    if name != "clean":
        attack = ctx.attacks[name]
        identity |= {"attack": type(attack).__qualname__, **asdict(attack)}
        identity["plugin"] = source_of(name)
        requested = ctx.evaluation.samples
        identity["samples"] = min(attack.samples or requested, requested)
    text = json.dumps(identity, sort_keys=True, default=str)
    slug = "".join(c if c.isalnum() or c == "-" else "_" for c in name)[:40]
    return f"{slug}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def source_of(name: str) -> str | None:
    """Return what the source of a column's attack adds to the identity of its outcomes."""
    return None if name == "clean" else attacks.source_identity(name)
