"""The text around the table: what the figures depend on, how to reproduce and cite them."""

import re
import shlex
from typing import TYPE_CHECKING

from robench.board.loading import read_board
from robench.board.shipped import shipped_boards
from robench.board.specs import TrainingSpec
from robench.errors import UserError, shortened
from robench.expressions import radius_text
from robench.leaderboard.certified import certificates
from robench.leaderboard.evidence import SOURCES, TOML, read_sums
from robench.leaderboard.page.cells import cells_of_rows, own_network, threat_model
from robench.leaderboard.page.wording import percent, threat_model_text
from robench.shipped import is_shipped as comes_with_robench
from robench.system.reading import sha256_of

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
    if noise and data.label_noise_mode == "uniform":
        noise += " (uniform over all classes)"
    how = f"{training.method}, {_counted(training.epochs, 'epoch')}{_method_options(training)}"
    if training.averaging:
        how += f", weights averaged (decay {training.averaging:g} per step)"
    devices = {c.manifest.get("environment", {}).get("device", "") for c in board.cells} - {""}
    threat_text = threat_model_text(threat_model(board))
    alone = " (single seed, no standard deviation)" if len(seeds) == 1 else ""
    terms = [
        ("Data set", f"{board.dataset}{part}{noise}"),
        ("Network", f"{model.name}, width {model.width}, stem {model.stem}{_others(board)}"),
        ("Training", how),
        ("Ranked by", f"{spec.evaluation.ranking_column}, {threat_text}".strip(", ")),
        ("Certificates", _certificates(board)),
        ("Test images", f"{spec.evaluation.samples:,}"),
        ("Seeds", ", ".join(map(str, seeds)) + alone),
        ("Commit", ", ".join(commits(board))),
        ("Hardware", "; ".join(sorted(devices))),
    ]
    return [(term, value) for term, value in terms if value]


def _others(board: "Leaderboard") -> str:
    """Return how many rows are other networks than the board's, as the end of a sentence."""
    count = sum(bool(own_network(board, cells)) for cells in cells_of_rows(board).values())
    if not count:
        return ""
    return "; one row has another" if count == 1 else f"; {count} rows have others"


def _method_options(training: TrainingSpec) -> str:
    """Return ", m = 4, ε = 8/255": those of the two options that the training method has."""
    try:
        method = training.build_method()
    except UserError:
        return ""  # of a plugin that is not loaded
    replays, eps = getattr(method, "replays", None), getattr(method, "eps", None)
    text = "" if replays is None else f", m = {replays}"
    return text if eps is None else f"{text}, ε = {radius_text(eps)}"


def _certificates(board: "Leaderboard") -> str:
    """Return what the board's certificates prove; "" if it has none."""
    balls = [board.columns[name].proves for name in certificates(board.columns)]
    radii = [f"{ball.norm.capitalize()} {radius_text(ball.eps)}" for ball in balls if ball]
    if not radii:
        return ""
    return f"{', '.join(radii)}, proved; L2 36/255 does not cover Linf 8/255"


def commits(board: "Leaderboard") -> list[str]:
    """Return the versions of the code that produced the rows, the best row's first."""
    versions = [v for text in board.table["version"].dropna().astype(str) for v in text.split()]
    return list(dict.fromkeys(versions))


def is_shipped(board: "Leaderboard") -> bool:
    """Return whether the board comes with robench, rather than from somebody else.

    A changed copy may have its name and its title: the specification decides, but for the seeds,
    of which a run may take others, and for the description, which may be corrected later.
    """
    path = shipped_boards().get(board.name)
    own = {"seeds": board.board.seeds, "description": board.board.description}
    return path is not None and read_board(path).model_copy(update=own) == board.board


def commands(board: "Leaderboard") -> str:
    """Return the shell commands that reproduce the board and verify it."""
    shipped, seeds = is_shipped(board), ",".join(map(str, board.board.seeds))
    versions = _checkout(board)
    lines = list(versions) if shipped or not versions else ["# in a clone of robench:", *versions]
    lines.append("pip install -e .")
    trained = bool(board.board.row_specs)
    if not shipped:
        if trained and not _has_file(board):
            own = f"{target(board)} is the author's board file; board.json has the same"
            lines.append(_comment(own))
        lines.append(_comment(f"in the folder that holds {shlex.quote(board.name)}:"))
    if trained:
        words = f"{target(board)}{_trained_rows(board)} --seeds {seeds}"
        lines.append(f"robench run {words}{_data(board)}{_plugin(board)}")
    if shipped and versions:
        lines.append("git checkout -  # to where the leaderboard is")
    return "\n".join([*lines, verification(board)])


def _comment(text: str) -> str:
    """Return a comment of the shell, which ends with its line, whatever a stranger's name holds."""
    return f"# {shortened(text, 300)}"


def verification(board: "Leaderboard") -> str:
    """Return the command that verifies the board."""
    folder = f"leaderboards/{board.name}" if is_shipped(board) else board.name
    return f"robench verify {shlex.quote(folder)} --store runs{_data(board)}{_plugin(board)}"


def _trained_rows(board: "Leaderboard") -> str:
    """Return the option that leaves out third-party networks, which no run can train."""
    if not board.board.external:
        return ""
    return f" --defenses {shlex.quote(','.join(row.title for row in board.board.row_specs))}"


def _checkout(board: "Leaderboard") -> list[str]:
    """Return the command that restores the code of the board, with comments on it."""
    found = commits(board)
    if not found:
        return []
    commit, _, dirty = found[0].partition("+")
    lines = [f"git checkout {shlex.quote(commit)}"]
    if dirty:
        lines.append("# the code had uncommitted changes on top of this commit")
    if len(found) > 1:
        lines.append("# the details of a row name its commit; all commits: " + " ".join(found))
    return lines


def target(board: "Leaderboard") -> str:
    """Return what ``robench run`` runs for this board, as a shell takes it."""
    if is_shipped(board):
        return shlex.quote(board.name)
    return shlex.quote(f"{board.name}/{TOML}" if _has_file(board) else f"{board.name}.toml")


def _has_file(board: "Leaderboard") -> bool:
    """Return whether the board's file was published with it."""
    try:
        return TOML in read_sums(board.folder)
    except UserError:
        return False


def row_options(board: "Leaderboard") -> str:
    """Return the last options of the command that reproduces one row."""
    return f"{_data(board)}{_plugin(board)}"


def citation(board: "Leaderboard") -> str:
    """Return BibTeX entries: one of the board, by its authors if it names them, and one of robench.

    The first names the commit and the hash of the table.
    """
    path = board.folder / "leaderboard.csv"
    digest = sha256_of(path, inside=board.folder)[:16] if path.is_file() else ""
    notes = [f"commit {commits(board)[0]}"] if commits(board) else []
    notes += [f"SHA-256 of leaderboard.csv begins with {digest}"] if digest else []
    authors = _latex(board.board.authors)
    if not authors and is_shipped(board):
        authors = DEVELOPERS
    lines = [
        f"@misc{{robench-{re.sub('[^A-Za-z0-9-]+', '-', board.name)},",
        f"  title = {{{_latex(board.board.title)}}},",
        *([f"  author = {{{authors}}},"] if authors else []),
        f"  howpublished = {{robench leaderboard \\texttt{{{_latex(board.name)}}}}},",
        f"  note = {{{_latex(', '.join(notes))}}}",
        "}",
    ]
    if authors != DEVELOPERS:
        lines += [
            "",
            "@misc{robench,",
            f"  title = {{{TOOL}}},",
            f"  author = {{{DEVELOPERS}}}",
            "}",
        ]
    return "\n".join(lines)


DEVELOPERS = "{The robench developers}"
TOOL = "robench: adversarial robustness of normalization defenses"


def _latex(text: str) -> str:
    return " ".join(text.translate(LATEX).split())


def _data(board: "Leaderboard") -> str:
    """Return the option that names a folder of images, which differs on each machine."""
    return " --data-dir DIR" if board.board.data.name == "image_folder" else ""


def _plugin(board: "Leaderboard") -> str:
    """Return the options that load the code of entries that do not come with robench."""
    files = dict.fromkeys(entry.file for entry in board.sources)
    paths = (shlex.quote(f"{board.name}/{SOURCES}/{file}") for file in files)
    if files:
        return "".join(f" --plugin {path}" for path in paths)
    specifications = [cell.specification for cell in board.cells]
    named = {key for spec in specifications for key in spec.get("sources", ())}
    own = any(spec.get("plugin_hash") for spec in specifications) or any(
        not comes_with_robench(*key.rsplit(" ", 1)) for key in named
    )
    return " --plugin FILE" if own else ""


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")
