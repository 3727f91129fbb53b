"""A leaderboard as papers print it: Markdown for a README, LaTeX with booktabs for a paper."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pandas as pd

from robench.board.board import Board
from robench.board.plan import build_attacks
from robench.errors import UserError
from robench.expressions import radius_text

_NONE = "–"  # noqa: RUF001
_LATEX_NONE = "--"


@dataclass(frozen=True)
class _Markup:
    """What differs between the languages.

    Attributes:
        escape: makes any text show as it is, in one line.
        bold: of a figure.
        plus_minus: between mean and spread.
        tied: the mark of what is not distinguishable from the best.
        flagged: the mark of a row with flags.
        none: where there is no figure.
    """

    escape: Callable[[str], str]
    bold: str
    plus_minus: str
    tied: str
    flagged: str
    none: str


def to_markdown(table: pd.DataFrame, board: Board) -> str:
    """Return a leaderboard as a Markdown table (GitHub's), its caption below.

    A row a defense, best first; a column for the clean images and one for each attack: accuracy in
    percent, with the standard deviation where there are several seeds. The best of a column is
    bold; what is not distinguishable from the best is marked in the ranking column, the only one
    that is compared.

    Args:
        table: ``leaderboard.csv``, as :attr:`robench.Leaderboard.table`.
        board: its specification.

    Raises:
        UserError: where the table has no column that the board names, or an attack of the board is
            not registered.
    """
    return markdown_table(_cells(table, board, _MARKDOWN), _caption(table, board, _MARKDOWN))


def to_latex(table: pd.DataFrame, board: Board) -> str:
    r"""Return a leaderboard as a LaTeX table; needs ``\usepackage{booktabs}``.

    See :func:`to_markdown` for rows, columns, arguments and errors. Letters beyond the Latin ones
    are left as they are and need LuaLaTeX or XeLaTeX.
    """
    return latex_table(_cells(table, board, _LATEX), _caption(table, board, _LATEX))


def markdown_table(cells: pd.DataFrame, caption: str) -> str:
    """Return cells, heads and caption, all escaped, as Markdown; the first column is text."""
    lines = [list(cells.columns), ["---", *["---:"] * (cells.shape[1] - 1)], *cells.values.tolist()]
    rows = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{rows}\n\nTable: {caption}\n"


def latex_table(cells: pd.DataFrame, caption: str) -> str:
    """Return cells, heads and caption, all escaped, as LaTeX; the first column is text."""
    return str(
        cells.style.hide(axis="index").to_latex(
            hrules=True,
            column_format="l" + "r" * (cells.shape[1] - 1),
            position="t",
            position_float="centering",
            caption=caption,
            label="tab:robench",
        )
    )


def _cells(table: pd.DataFrame, board: Board, markup: _Markup) -> pd.DataFrame:
    names = [
        markup.escape(name) + (markup.flagged if flags else "")
        for name, flags in zip(table["defense"], _flags(table), strict=True)
    ]
    heads, columns = ["defense"], [names]
    tied = _tied(table)
    for column in _columns(table, board):
        means = [None if pd.isna(v) else f"{100 * v:.1f}" for v in table[f"{column}_mean"]]
        best = max((m for m in means if m is not None), key=float, default=None)
        cells = []
        for place, (mean, std) in enumerate(zip(means, table[f"{column}_std"], strict=True)):
            # Equal as printed is equal: the digits that are not shown must not decide.
            text = markup.none if mean is None else markup.bold % mean if mean == best else mean
            if mean is not None and not pd.isna(std):
                text += f"{markup.plus_minus}{100 * std:.1f}"
            if column == board.evaluation.ranking_column and mean != best and tied[place]:
                text += markup.tied
            cells.append(text)
        heads.append(markup.escape(column))
        columns.append(cells)
    return pd.DataFrame(list(zip(*columns, strict=True)), columns=heads)


def _columns(table: pd.DataFrame, board: Board) -> list[str]:
    for column in board.evaluation.columns:
        if f"{column}_mean" not in table:
            raise UserError(f"the table has no column '{column}_mean': it is not of this board.")
    return list(board.evaluation.columns)


def _tied(table: pd.DataFrame) -> list[bool]:
    """Return which rows share a group's letter with the best, itself among them."""
    letters = [set(str(group).split()) for group in table["group"]]
    best = [own for own, rank in zip(letters, table["rank"], strict=True) if rank == 1]
    return [any(own & other for other in best) for own in letters]


def _flags(table: pd.DataFrame) -> list[str]:
    return ["" if pd.isna(flags) else str(flags) for flags in table["flags"]]


def _caption(table: pd.DataFrame, board: Board, markup: _Markup) -> str:
    """Say what the figures stand on."""
    several = any(len(str(seeds).split()) > 1 for seeds in table["seeds"])
    spread = ", mean and standard deviation over seeds" if several else ""
    networks = _listed(
        backbone if pd.isna(width) else f"{backbone} of width {width:g}"
        for backbone, width in zip(table["backbone"], table["width"], strict=True)
    )
    seeds = _listed(" ".join(str(seeds).split()) for seeds in table["seeds"])
    ranking = board.evaluation.ranking_column
    recipes = [
        f"{name}: {recipe}"
        for name, recipe in zip(table["defense"], table["recipe"], strict=True)
        if not pd.isna(recipe) and recipe
    ]
    flags = [
        f"{name}: {own}" for name, own in zip(table["defense"], _flags(table), strict=True) if own
    ]
    said = [
        f"{board.title}. Accuracy in percent{spread}; {networks} on {_listed(table['dataset'])}; "
        f"{'seeds' if several else 'seed'} {seeds}; {_listed(table['samples'])} test images.",
        *_threats(board),
        f"Best figures are bold, ranked by {ranking}.",
        *([f"Trained differently: {'; '.join(recipes)}."] if recipes else []),
        f"robench, commit {_listed(table['version'])}.",
    ]
    text = " ".join(markup.escape(sentence) for sentence in said)
    if any(tied and rank != 1 for tied, rank in zip(_tied(table), table["rank"], strict=True)):
        why = f": not distinguishable from the best in {ranking} (5%, Holm's correction)."
        text += f" {markup.tied.strip()}{markup.escape(why)}"
    if flags:
        which = f": flagged, {'; '.join(flags)}."
        text += f" {markup.flagged.strip()}{markup.escape(which)}"
    return text


def _threats(board: Board) -> list[str]:
    """Return sentences on the balls of the attacks, and on those that see fewer images."""
    balls: dict[str, list[str]] = {}
    fewer = []
    for name, attack in build_attacks(board.evaluation).items():
        ball = attack.threat_model
        within = (
            f"{_NORMS.get(ball[0], ball[0])}, eps = {radius_text(ball[1])}" if ball else "no ball"
        )
        balls.setdefault(within, []).append(name)
        if attack.samples is not None and attack.samples < board.evaluation.samples:
            fewer.append(f"{name} on the first {attack.samples} images.")
    threats = [f"{within}: {', '.join(names)}" for within, names in balls.items()]
    return [*([f"Threat models: {'; '.join(threats)}."] if threats else []), *fewer]


_NORMS = {"linf": "Linf", "l2": "L2"}


def _listed(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in values))


def _one_line(text: str) -> str:
    """Return text with each run of blanks and control characters as one blank."""
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text).strip()


def escape_markdown(text: str) -> str:
    """Escape what Markdown or HTML would read; the rest stays as readable as it was."""
    text = re.sub(r"[\\`<>&|$~#@]", lambda found: f"&#{ord(found[0])};", _one_line(text))
    text = re.sub(r"[*_\[\]]", r"\\\g<0>", text)
    # GitHub makes links of bare addresses.
    return re.sub(r":(?=//)|(?<=www)\.", lambda found: f"&#{ord(found[0])};", text, flags=re.I)


_LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "%": r"\%",
    "&": r"\&",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\symbol{34}",
    "`": r"\symbol{96}",
    # After the \\ of the row above, these would be taken for its arguments.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
}


def escape_latex(text: str) -> str:
    """Escape what LaTeX would read; two hyphens stay two."""
    safe = "".join(_LATEX_SPECIAL.get(char, char) for char in _one_line(text))
    return re.sub(r"-(?=-)", "-{}", safe)


_MARKDOWN = _Markup(escape_markdown, "**%s**", " ± ", " †", " ‡", _NONE)
_LATEX = _Markup(
    escape_latex, r"\textbf{%s}", r" $\pm$ ", r" $^\dagger$", r" $^\ddagger$", _LATEX_NONE
)  # fmt: skip
