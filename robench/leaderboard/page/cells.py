"""The cells of a published leaderboard, row by row, and what the page needs from them."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from robench.base import ThreatModel
from robench.board.cells import ExternalCell
from robench.board.plan import canonical_model
from robench.board.ranking import SUMMARIES
from robench.checks.report import Finding, Report
from robench.checks.wording import best_effort
from robench.leaderboard.certified import UNSOUND
from robench.leaderboard.row import corruptions
from robench.leaderboard.speedrun import hardware
from robench.system.provenance import ALONE

if TYPE_CHECKING:
    from robench.leaderboard.published import Leaderboard, PublishedCell

DIVERGED = "diverged"


def cells_of_rows(board: "Leaderboard") -> "dict[str, list[PublishedCell]]":
    """Return the cells of each row of the table, best row first, by seed."""
    rows: dict[str, list[PublishedCell]] = {str(name): [] for name in board.table["defense"]}
    for cell in board.cells:
        if cell.row in rows:
            rows[cell.row].append(cell)
    return {name: sorted(cells, key=lambda cell: cell.seed) for name, cells in rows.items()}


def own_network(board: "Leaderboard", cells: "list[PublishedCell]") -> str:
    """Return which network a row is, such as "vgg16, width 16"; "" if it is the board's."""
    cell, usual = cells[0].file.cell, canonical_model(board.board.model)
    if isinstance(cell, ExternalCell):
        return cell.architecture
    if canonical_model(cell.model) == usual:
        return ""
    stem = "" if cell.model.stem == usual.stem else f", stem {cell.model.stem}"
    return f"{cell.model.name}, width {cell.model.width}{stem}"


def times_note(board: "Leaderboard") -> str:
    """Return a sentence if training times are not of one machine, as on merged boards; else ""."""
    trained = [cell for cell in board.cells if not isinstance(cell.file.cell, ExternalCell)]
    manifests = [cell.file.manifest for cell in trained if cell.file.manifest is not None]
    # Whether a training ran alone is stated by races, and no hardware.
    machines = {hardware([{**m.environment, "training": ALONE}]) for m in manifests}
    if len(machines) < 2:
        return ""
    return "Rows were trained on different hardware: compare the training times of one kind only."


def report_of(cell: "PublishedCell") -> Report | None:
    """Return the report of a cell's checks; None if they were left out.

    Raises:
        UserError: if the report is damaged.
    """
    return Report.from_json(cell.checks) if cell.checks else None


def counts_queries(board: "Leaderboard") -> list[str]:
    """Return the columns of attacks that report queries, in the board's order."""
    return [c for c in board.board.evaluation.columns if board.columns[c].reports_queries]


def threat_model(board: "Leaderboard") -> ThreatModel | None:
    """Return norm and radius that the board ranks by; None if it has no threat model."""
    return board.columns[board.board.evaluation.main_column].threat_model


def accuracy_columns(board: "Leaderboard") -> list[str]:
    """Return the columns of the table that are accuracies, clean first and combined ones last."""
    names = [*board.board.evaluation.columns, *SUMMARIES]
    corrupted = corruptions(board.columns)
    return [name for name in names if f"{name}_mean" in board.table and name not in corrupted]


def flags_of(row: "pd.Series[Any]") -> list[str]:
    """Return the names of a row's flags."""
    return str(row["flags"]).split()


def said(finding: Finding, report: Report) -> str:
    """Return what a finding says, with its best-effort accuracy if it has one."""
    share = finding.best_effort
    more = "" if share is None else f" {best_effort(share, report.samples)}"
    return f"{finding.sentence}{more}"


def sentences(flag: str, cells: "list[PublishedCell]") -> str:
    """Return the findings behind a flag of this row, with their seeds if there are several."""
    if flag == DIVERGED:
        return "Training diverged for at least one seed, so the row has no figures."
    if flag == UNSOUND:
        return (
            "An attack fooled images within their certified radius: the proof is wrong, or not of "
            "this network."
        )
    seeds_of: dict[str, list[int]] = {}
    for cell in cells:
        report = report_of(cell)
        if report and flag in report.failed:
            seeds_of.setdefault(said(report[flag], report), []).append(cell.seed)
        elif flag in cell.result.flags:
            seeds_of.setdefault(cell.result.flags[flag], []).append(cell.seed)
    if not seeds_of:
        return "A check failed; its finding is not stored."
    if len(cells) == 1:
        return " ".join(seeds_of)
    return " ".join(
        f"Seed {', '.join(map(str, seeds))}: {sentence}" for sentence, seeds in seeds_of.items()
    )
