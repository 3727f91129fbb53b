"""Render the page: template, style, scripts and data in one self-contained file."""

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from robench.leaderboard.export import LATEX_SPECIAL
from robench.leaderboard.order import extent_note, ranking_notes
from robench.leaderboard.page import charts, guide
from robench.leaderboard.page.cells import accuracy_columns, times_note
from robench.leaderboard.page.certified_chart import accuracy_against_radius
from robench.leaderboard.page.challenges import challenge_sentences
from robench.leaderboard.page.corruptions import corruption_tables
from robench.leaderboard.page.details import details, evidence, headings
from robench.leaderboard.page.downloads import file_stem, paper_files, ranking_files
from robench.leaderboard.page.embedding import json_for_html, packed, policy
from robench.leaderboard.page.groups import row_groups
from robench.leaderboard.page.paper_comparison import paper_comparison
from robench.leaderboard.page.rows import table_rows
from robench.leaderboard.page.speedrun import speedrun
from robench.leaderboard.page.wording import listed
from robench.leaderboard.row import has_best_known
from robench.leaderboard.usable import check_tables
from robench.system.files import write_text

if TYPE_CHECKING:
    from robench.leaderboard.published import Leaderboard

FOLDER = "templates/page"
VENDORED = {"d3": "d3.min.js", "plot": "plot.umd.min.js", "dataTables": "dataTables.min.js"}
SCRIPTS = ("elements.js", "downloads.js", "plots.js", "detail.js", "page.js")


def write_page(board: "Leaderboard", path: Path) -> Path:
    """Write the page of a leaderboard: one HTML file to open from disk, which loads nothing.

    Args:
        board: the published board.
        path: the file to write, e.g. ``leaderboards/quick/page.html``.

    Returns:
        ``path``.

    Raises:
        UserError: if a file of the board is missing or damaged, or ``path`` cannot be written.
    """
    write_text(path, render(board))
    return path


def render(board: "Leaderboard") -> str:
    """Return the page as HTML; every value of the board is escaped.

    Raises:
        UserError: if a file of the board is missing or damaged.
    """
    check_tables(board)
    scripts = [vendored(name) for name in VENDORED] + [page_text(name) for name in SCRIPTS]
    eps, queries = charts.accuracy_against_eps(board), charts.success_against_queries(board)
    cost, layers = charts.accuracy_against_cost(board), charts.spectra(board)
    curves, certified = charts.accuracy_against_iterations(board), accuracy_against_radius(board)
    drawn = {
        "eps": eps,
        "queries": queries,
        "cost": cost,
        "curves": curves,
        "spectra": layers,
        "certified": certified,
    }
    template = page_environment().get_template("page.html.j2")
    return template.render(
        policy=policy(scripts),
        # Trusted: our own and the libraries' scripts; a test checks that they hold no "</script>".
        scripts=[Markup(script) for script in scripts],
        style=Markup(page_text("page.css")),
        data=json_for_html(_data(board, drawn)),
        evidence=packed(evidence(board)),
        board=board.board,
        ranking=board.board.evaluation.ranking_column,
        facts=guide.facts(board),
        challenges=challenge_sentences(board),
        best_known=has_best_known(board.result),
        worst_case=listed(list(board.board.evaluation.worst_case)),
        notes=_notes(board),
        columns=accuracy_columns(board),
        rows=table_rows(board),
        ranking_files=ranking_files(board),
        speedrun=speedrun(board),
        groups=row_groups(board),
        paper_files=paper_files(board),
        attacked=board.board.evaluation.ranking_column != "clean",
        **drawn,
        comparison=paper_comparison(board),
        corruptions=corruption_tables(board),
        several_seeds=len(board.board.seeds) > 1,
        methods=sorted(board.table["training"].astype(str).unique()),
        commands=guide.commands(board),
        citation=guide.citation(board),
        shipped=guide.is_shipped(board),
    )


def _data(board: "Leaderboard", drawn: dict[str, Any]) -> dict[str, Any]:
    """Return what the scripts read, with the charts that are drawn."""
    return {
        "target": guide.target(board),
        "ranking": board.board.evaluation.ranking_column,
        "rowOptions": guide.row_options(board),
        "verification": guide.verification(board),
        "checked": board.board.evaluation.checks,
        "charts": drawn,
        "file": file_stem(board.name),
        "latex": LATEX_SPECIAL,
        "columns": accuracy_columns(board),
        "headings": headings(),
        "rows": details(board),
    }


def _notes(board: "Leaderboard") -> list[str]:
    """Return what a reader of the table must know, one sentence each."""
    found = [*ranking_notes(board.result, board.table), extent_note(board.table), times_note(board)]
    return [note for note in found if note]


def page_environment() -> Environment:
    """Return what renders the templates of pages; every value is escaped."""
    return Environment(
        loader=PackageLoader("robench", FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page_text(name: str) -> str:
    """Return a file of the templates' folder, such as ``page.css``."""
    return (files("robench") / FOLDER / name).read_text(encoding="utf-8")


def vendored(name: str) -> str:
    """Return a library preceded by its license, which every copy must include."""
    license_text = page_text(f"vendor/{name}.LICENSE.txt").replace("*/", "* /")
    return f"/*\n{license_text}*/\n{page_text(f'vendor/{VENDORED[name]}')}"
