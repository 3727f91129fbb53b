"""What ``robench challenge`` prints."""

from collections.abc import Iterator

from robench.commands.challenge import ChallengeResult, Lowered


def challenge_lines(found: ChallengeResult) -> Iterator[str]:
    """Return what ``robench challenge`` prints: a line per network, and one on the row."""
    for network in found.networks:
        yield f"'{found.row}', seed {network.seed}: {_counts(network)}"
    if not found.lowers:
        yield "No image lowers the row; nothing was recorded."
        return
    table = found.leaderboard.table.set_index("defense")
    figures = table.loc[found.row]
    yield (
        f"best_known of '{found.row}': {100 * figures['best_known_mean']:.1f}%; "
        f"wrote {found.leaderboard.folder / 'leaderboard.csv'}"
    )


def _counts(network: Lowered) -> str:
    others = {
        "of images on which it was not robust": network.known,
        "classified correctly": network.resisted,
        "too close to call": network.close,
    }
    left = "".join(f", {count} {what}" for what, count in others.items() if count)
    return (
        f"{network.new} of {network.given} images lower its accuracy from "
        f"{100 * network.before:.1f}% to {100 * network.after:.1f}%{left}."
        if network.new
        else f"0 of {network.given} images lower its accuracy of {100 * network.before:.1f}%{left}."
    )
