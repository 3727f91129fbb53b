"""How figures are written in the sentences of findings."""

from robench.expressions import radius_text


def percent(share: float) -> str:
    """Return 0.406 as ``40.6%``."""
    return f"{100 * share:.1f}%"


def radius(norm: str, eps: float) -> str:
    """Return a ball's radius as papers write it: ``Linf 8/255``, ``L2 0.5``."""
    return f"{norm.replace('l', 'L', 1)} {radius_text(eps)}"


def chance(p: float) -> str:
    """Return a p-value in words."""
    return f"p = {p:.2g}" if p >= 1e-4 else "p < 0.0001"


def some(count: int, what: str) -> str:
    """Return ``1 image`` or ``2 images``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
