"""What ``robench challenge`` prints."""

import math
from collections.abc import Iterator

from robench.checks.wording import some
from robench.commands.challenge import ChallengeResult, Lowered


def challenge_lines(found: ChallengeResult) -> Iterator[str]:
    """Return what ``robench challenge`` prints: a line per network, and one on the row."""
    for network in found.networks:
        yield f"'{found.row}', seed {network.seed}: {_counts(network)}"
    if not found.lowers:
        yield "No image lowers the row; nothing was recorded."
        return
    table = found.leaderboard.table.set_index("defense")
    mean = float(table["best_known_mean"].to_dict()[found.row])
    figure = "none, since a network of it diverged" if math.isnan(mean) else f"{100 * mean:.1f}%"
    yield (
        f"best_known of '{found.row}': {figure}; "
        f"wrote {found.leaderboard.folder / 'leaderboard.csv'}"
    )


def _counts(network: Lowered) -> str:
    verb = "lowers" if network.new == 1 else "lower"
    change = (
        f"from {100 * network.before:.1f}% to {100 * network.after:.1f}%"
        if network.new
        else f"of {100 * network.before:.1f}%"
    )
    others = {
        "of images on which it was not robust": network.known,
        "classified correctly": network.resisted,
        "too close to call": network.close,
    }
    parts = [f"{count} {what}" for what, count in others.items() if count]
    left = f" (others: {', '.join(parts)})" if parts else ""
    return f"{network.new} of {some(network.given, 'image')} {verb} its accuracy {change}{left}."
