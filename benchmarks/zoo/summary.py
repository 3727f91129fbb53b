"""Tables of what was measured: hits, misses and false alarms, as text and as Markdown."""

import platform
from collections.abc import Sequence
from pathlib import Path

import torch
from scipy.stats import binomtest

from robench import UserError
from robench.system.files import write_text
from robench.system.provenance import code_version
from zoo.discovery import HALVES
from zoo.measure import BOARD_IMAGES, Measured

BEGIN = "<!-- written by benchmarks/checks.py -->"
END = "<!-- end -->"

HEADER = ("model", "half", "clean", "PGD-20", "truth", "best effort", "outcome", "flags",
          "checks, s", "PGD-20, s")  # fmt: skip


def line(row: Measured) -> tuple[str, ...]:
    """Return the cells of a model under :data:`HEADER`; a flag that names the cause has a star."""
    flags = [f"{flag}*" if flag in row.causes else flag for flag in row.flags]
    effort = "" if row.best_effort is None else _percent(row.best_effort)
    return (
        row.name,
        row.half,
        _percent(row.clean),
        _percent(row.pgd),
        _percent(row.truth),
        effort,
        row.outcome,
        ", ".join(flags),
        f"{row.check_seconds:.0f}",
        f"{row.pgd_seconds:.0f}",
    )


def text_line(row: Measured) -> str:
    """Return one line for a terminal."""
    name, half, clean, pgd, truth, _, outcome, flags, checks, board = line(row)
    times = f"checks {checks} s, PGD-20 {board} s"
    return (
        f"{name:28} {half:8} clean {clean:>4} PGD-20 {pgd:>4} truth {truth:>4}  {outcome:11}  "
        f"{flags or '-'} ({times})"
    )


def counts(rows: Sequence[Measured]) -> list[tuple[str, ...]]:
    """Return the counts of both halves, and their 95% intervals (Clopper and Pearson)."""
    halves = [[row for row in rows if row.half == half] for half in HALVES]
    fooled = ("hit", "miss")
    return [
        (title, *(count(half) for half in halves))
        for title, count in (
            ("hits", lambda half: _count(half, fooled, "hit")),
            ("misses", lambda half: _count(half, fooled, "miss")),
            ("misses among those that hide", lambda half: _count(_hiding(half), fooled, "miss")),
            ("flags that name what hides", _named),
            ("false alarms", lambda half: _count(half, ("false alarm", "no flag"), "false alarm")),
            ("not fooled", lambda half: str(sum(row.outcome == "not fooled" for row in half))),
        )
    ]


def markdown(rows: Sequence[Measured]) -> str:
    """Return the counts, and a table of each kind of model."""
    ordered = sorted(rows, key=lambda row: (row.honest, row.name))
    images = "/".join(str(n) for n in sorted({row.images for row in rows}))
    threads = f"{torch.get_num_threads()} threads of {platform.machine()}"
    false = [line(row) for row in ordered if not row.honest]
    honest = [line(row) for row in ordered if row.honest]
    parts = [
        _table(("", "tuning half", "held-out half"), counts(rows)),
        f"Accuracies in percent of {images} test images. The seconds of PGD-20 are those of "
        f"{BOARD_IMAGES} images, extrapolated from these. A star marks a flag that names the "
        f"cause. Measured with robench {code_version()}, the seconds on {threads}.",
    ]
    for title, table in (("Models that look robust", false), ("Honest models", honest)):
        if table:
            parts += [f"### {title}", _table(HEADER, table)]
    return "\n\n".join(parts) + "\n"


def rewrite(file: Path, content: str) -> None:
    """Replace what is between the markers of a file.

    Raises:
        UserError: if the file or a marker is missing.
    """
    text = file.read_text() if file.is_file() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"{file} has no place for the tables: write '{BEGIN}' and '{END}' in it.")
    write_text(file, f"{before}{BEGIN}\n\n{content}\n{END}{after}")


def _count(rows: Sequence[Measured], all_of: tuple[str, ...], which: str) -> str:
    outcomes = [row.outcome for row in rows]
    return _share(outcomes.count(which), sum(outcome in all_of for outcome in outcomes))


def _hiding(rows: Sequence[Measured]) -> list[Measured]:
    return [row for row in rows if not row.honest]


def _named(rows: Sequence[Measured]) -> str:
    hits = [row for row in _hiding(rows) if row.outcome == "hit"]
    return _share(sum(row.named for row in hits), len(hits))


def _share(count: int, total: int) -> str:
    """Format ``3 of 20 (3 to 38%)``."""
    if not total:
        return "0 of 0"
    low, high = binomtest(count, total).proportion_ci(0.95, method="exact")
    return f"{count} of {total} ({100 * low:.0f} to {100 * high:.0f}%)"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"
