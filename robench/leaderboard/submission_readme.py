"""The README of a submission, which a forge shows first; the audit makes it again."""

import pandas as pd

from robench.board.ranking import COMBINED
from robench.leaderboard.bundle import Bundle
from robench.leaderboard.evidence import SOURCES
from robench.leaderboard.order import ranking_notes, shown_columns
from robench.runs.records import BoardResult

README = "README.md"


def submission_readme(result: BoardResult, table: pd.DataFrame, bundle: Bundle) -> str:
    """Return the text of the README.

    Args:
        result: the rows that are submitted.
        table: their leaderboard.
        bundle: the code that goes with them.
    """
    columns = shown_columns(result.board, table, result.columns)
    ranked = result.board.evaluation.ranking_column in COMBINED
    notes = ranking_notes(result, table) if ranked else []
    lines = [
        f"# Submission to {result.board.title}",
        "",
        f"Rows of a robench leaderboard on {result.dataset}, with their weights and the evidence "
        f"for every figure. Accuracies are in percent; a cell is empty if training diverged.",
        "",
        f"| {' | '.join(['row', 'seeds', *columns])} |",
        f"|{' --- |' * (2 + len(columns))}",
    ]
    for row in table.to_dict("records"):
        means = [row[f"{name}_mean"] for name in columns]
        shown_means = ["" if mean != mean else f"{100 * mean:.1f}" for mean in means]
        cells = [str(row["defense"]).replace("|", "\\|"), str(row["seeds"]), *shown_means]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [text for note in notes for text in ("", note)]
    lines += ["", "To check the files and then recompute every figure from the weights:", ""]
    lines += ["    robench check-submission DIR", ""]
    if result.board.weights_at:
        lines += [f"The board says that its weights are at `{result.board.weights_at}`.", ""]
    if bundle.entries:
        lines += [
            "This code does not come with robench. Read it, then add --trust-code:",
            "",
        ]
        lines += [f"- {entry.words}: `{SOURCES}/{entry.file}`" for entry in bundle.entries]
        lines += [""]
    return "\n".join(lines)
