"""The identity of stored outcomes: a hash of everything that they depend on."""

import hashlib
import json
from dataclasses import asdict, fields

from robench.base import ADDED_LATER, Attack
from robench.board.specs import EvaluationSpec
from robench.registry import attacks
from robench.runs.context import RunContext
from robench.system.provenance import library_version

ENGINE_VERSION = 2
"""Part of every outcome's identity; raised when the meaning of an attack changes.

It stands for the engine; the source of the attack itself is part of the identity by its hash.
"""

_USUAL_BATCH: int = EvaluationSpec.model_fields["batch_size"].default
"""The batch size that identities do not name: it was no part of them at first."""

_USUAL_LIBRARIES = frozenset({"torchattacks 3.5.1", "foolbox 3.3.4", "adv_lib 0.2.8"})
"""The versions that identities do not name, for the same reason: those of the first results."""


def outcome_key(name: str, ctx: RunContext) -> str:
    """Return the file name of a column's outcomes in a run, by what is registered here."""
    source, library = source_of(name), library_of(name)
    return column_key(name, ctx.evaluation, ctx.attacks.get(name), source, library=library)


def column_key(
    name: str,
    evaluation: EvaluationSpec,
    attack: Attack | None,
    source: str | None,
    *,
    library: str | None = None,
    engine: int = ENGINE_VERSION,
) -> str:
    """Return the file name of a column's outcomes: a hash of all they depend on but the cell.

    Args:
        name: the column, ``clean`` or an attack as the board names it.
        evaluation: the evaluation of the board.
        attack: the attack, built with the board's defaults; None for ``clean``.
        source: what the attack's source adds; see :func:`source_of`.
        library: the library of the attack, with its version; see :func:`library_of`.
        engine: the version of the engine that attacked.
    """
    identity: dict[str, object] = {
        "engine": engine,
        "samples": evaluation.samples,
        "without": sorted(evaluation.without),
    }
    if attack is not None:
        identity |= {"attack": type(attack).__qualname__, **_options(attack)}
        identity["plugin"] = source
        identity["samples"] = attacked_samples(evaluation, attack)
        if attack.depends_on_batch and evaluation.batch_size != _USUAL_BATCH:
            identity["batch_size"] = evaluation.batch_size
        if library is not None and library not in _USUAL_LIBRARIES:
            identity["library"] = library
    text = json.dumps(identity, sort_keys=True, default=str)
    slug = "".join(c if c.isalnum() or c == "-" else "_" for c in name)[:40]
    return f"{slug}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _options(attack: Attack) -> dict[str, object]:
    """Return the options of an attack, but for those at a default that it always had in effect."""
    later = {f.name: f.default for f in fields(attack) if f.metadata == ADDED_LATER}
    options: dict[str, object] = asdict(attack)
    return {name: v for name, v in options.items() if name not in later or v != later[name]}


def attacked_samples(evaluation: EvaluationSpec, attack: Attack | None) -> int:
    """Return on how many images a column is evaluated; without an attack, on all of the board's."""
    own = attack.samples if attack is not None else None
    return min(own or evaluation.samples, evaluation.samples)


def source_of(name: str) -> str | None:
    """Return what the source of a column's attack adds to the identity of its outcomes."""
    return None if name == "clean" else attacks.source_identity(name)


def library_of(name: str) -> str | None:
    """Return the library that a column's attack is of, with the version installed here.

    Returns:
        For example "torchattacks 3.5.1"; None for an attack that is of no library, or of one that
        is no installed package, as a plugin may bring.
    """
    prefix, colon, _ = name.partition("(")[0].partition(":")
    return library_version(prefix) if colon else None
