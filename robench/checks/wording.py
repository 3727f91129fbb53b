"""Format figures for the sentences of findings."""

from robench.expressions import radius_text


def percent(share: float, digits: int = 1) -> str:
    """Format 0.406 as ``40.6%``."""
    return f"{100 * share:.{digits}f}%"


def radius(norm: str, eps: float) -> str:
    """Format a radius as papers write it: ``Linf 8/255``, ``L2 0.5``."""
    return f"{norm.replace('l', 'L', 1)} {radius_text(eps)}"


def chance(p: float) -> str:
    """Format a p-value."""
    return f"p = {p:.2g}" if p >= 1e-4 else "p < 0.0001"


def some(count: int, what: str, plural: str | None = None) -> str:
    """Format a count, ``1 image`` or ``2 images``; ``plural`` is for words that take no s."""
    return f"{count} {what if count == 1 else plural or what + 's'}"


def best_effort(accuracy: float, images: int) -> str:
    """Return the sentence on the best-effort accuracy of a finding, which follows its sentence."""
    return f"Best effort: {percent(accuracy)} of {some(images, 'image')} stay right."
