"""The text around the table: what the figures depend on, how to reproduce and cite them."""

import hashlib
import re
import shlex
from typing import TYPE_CHECKING

from robench.board.loading import shipped_boards
from robench.board.specs import TrainingSpec
from robench.errors import UserError
from robench.expressions import radius_text
from robench.leaderboard.page.cells import threat_model
from robench.leaderboard.page.wording import percent, threat_model_text

if TYPE_CHECKING:
    from robench.leaderboard.published import Leaderboard

LATEX = str.maketrans(
    {
        **{c: f"\\{c}" for c in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
    }
)


def facts(board: "Leaderboard") -> list[tuple[str, str]]:
    """Return the facts that the figures depend on, as (term, value)."""
    spec = board.board
    data, model, training, seeds = spec.data, spec.model, spec.training, spec.seeds
    part = f", {percent(data.subset)}% of the training images" if data.subset < 1 else ""
    noise = f", {percent(data.label_noise)}% label noise" if data.label_noise else ""
    how = f"{training.method}, {_counted(training.epochs, 'epoch')}{_method_options(training)}"
    devices = {c.manifest.get("environment", {}).get("device", "") for c in board.cells} - {""}
    threat_text = threat_model_text(threat_model(board))
    alone = " (single seed, no standard deviation)" if len(seeds) == 1 else ""
    terms = [
        ("Data set", f"{board.dataset}{part}{noise}"),
        ("Network", f"{model.name}, width {model.width}, stem {model.stem}"),
        ("Training", how),
        ("Ranked by", f"{spec.evaluation.ranking_column}, {threat_text}".strip(", ")),
        ("Test images", f"{spec.evaluation.samples:,}"),
        ("Seeds", ", ".join(map(str, seeds)) + alone),
        ("Commit", ", ".join(commits(board))),
        ("Hardware", "; ".join(sorted(devices))),
    ]
    return [(term, value) for term, value in terms if value]


def _method_options(training: TrainingSpec) -> str:
    """Return ", m = 4, ε = 8/255": those of the two options that the training method has."""
    try:
        method = training.build_method()
    except UserError:
        return ""  # of a plugin that is not loaded
    replays, eps = getattr(method, "replays", None), getattr(method, "eps", None)
    text = "" if replays is None else f", m = {replays}"
    return text if eps is None else f"{text}, ε = {radius_text(eps)}"


def commits(board: "Leaderboard") -> list[str]:
    """Return the versions of the code that produced the rows, the best row's first."""
    versions = [v for text in board.table["version"].dropna().astype(str) for v in text.split()]
    return list(dict.fromkeys(versions))


def commands(board: "Leaderboard") -> str:
    """Return the shell commands that reproduce the board and verify it."""
    found, shipped = commits(board), board.name in shipped_boards()
    name = shlex.quote(board.name if shipped else f"{board.name}.toml")
    seeds = ",".join(map(str, board.board.seeds))
    lines = []
    if found:
        commit, _, dirty = found[0].partition("+")
        lines.append(f"git checkout {shlex.quote(commit)}")
        if dirty:
            lines.append("# the code had uncommitted changes on top of this commit")
    if len(found) > 1:
        lines.append("# the details of a row name its commit; all commits: " + " ".join(found))
    if not shipped:
        lines.append(f"# {name} is the author's board file; board.json has the same settings")
    lines += [
        "pip install -e .",
        f"robench run {name} --seeds {seeds}{_data(board)}{_plugin(board)}",
        *(["git checkout -  # to where the leaderboard is"] if found else []),
        f"robench verify {shlex.quote('leaderboards/' + board.name)} --store runs{_data(board)}"
        f"{_plugin(board)}",
    ]
    return "\n".join(lines)


def row_options(board: "Leaderboard") -> str:
    """Return the last options of the command that reproduces one row."""
    return f"{_data(board)}{_plugin(board)}"


def citation(board: "Leaderboard") -> str:
    """Return a BibTeX entry that names the board, the commit and the table's hash."""
    path = board.folder / "leaderboard.csv"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else ""
    notes = [f"commit {commits(board)[0]}"] if commits(board) else []
    notes += [f"SHA-256 of leaderboard.csv begins with {digest}"] if digest else []
    return "\n".join(
        [
            f"@misc{{robench-{re.sub('[^A-Za-z0-9-]+', '-', board.name)},",
            f"  title = {{{_latex(board.board.title)}}},",
            "  author = {{The robench developers}},",
            f"  howpublished = {{robench leaderboard \\texttt{{{_latex(board.name)}}}}},",
            f"  note = {{{_latex(', '.join(notes))}}}",
            "}",
        ]
    )


def _latex(text: str) -> str:
    return " ".join(text.translate(LATEX).split())


def _data(board: "Leaderboard") -> str:
    """Return the option that names a folder of images, which differs on each machine."""
    return " --data-dir DIR" if board.board.data.name == "image_folder" else ""


def _plugin(board: "Leaderboard") -> str:
    specifications = [cell.specification for cell in board.cells]
    own = any(spec.get("plugin_hash") or spec.get("sources") for spec in specifications)
    return " --plugin FILE" if own else ""


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")
