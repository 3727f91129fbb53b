"""The page of a board of GANs: table, grids of samples and curves in one self-contained file."""

import base64
import shlex
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from robench.errors import UserError, shortened
from robench.gan.metrics.extractors import INCEPTION
from robench.leaderboard.evidence import SOURCES, TABLE
from robench.leaderboard.export import LATEX_SPECIAL
from robench.leaderboard.gans.charts import gan_charts
from robench.leaderboard.gans.files import PAPER, samples_name
from robench.leaderboard.gans.notes import gan_notes
from robench.leaderboard.gans.published import GanLeaderboard
from robench.leaderboard.page.downloads import Download, download, file_stem
from robench.leaderboard.page.embedding import json_for_html, policy
from robench.leaderboard.page.wording import MISSING, RANGE, sort_key
from robench.leaderboard.page.write import page_environment, page_text, vendored
from robench.leaderboard.safe_csv import to_safe_csv
from robench.system.files import write_text
from robench.system.reading import MIB, read_bytes

SCRIPTS = ("elements.js", "downloads.js", "plots.js", "gans.js")

PICTURE_BYTES = 4 * MIB
"""Largest size of a grid of samples; 64 of noise have 200 KiB."""

_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Row:
    """A row of the page's table; everything is text to be escaped."""

    index: int
    rank: int
    ranks: str
    title: str
    about: str
    figures: tuple[tuple[str, str, str], ...]
    parameters: int
    seconds: str
    seconds_order: str
    flags: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Samples:
    """A grid of samples: its caption, and its picture as a data URI; or why there is none."""

    title: str
    seed: int
    uri: str
    missing: str


def write_gan_page(board: GanLeaderboard, path: Path) -> Path:
    """Write the page of a board of GANs: one HTML file, which loads nothing.

    Raises:
        UserError: if a file of the board is missing or damaged, or ``path`` cannot be written.
    """
    write_text(path, render(board))
    return path


def render(board: GanLeaderboard) -> str:
    """Return the page as HTML; every value of the board is escaped.

    Raises:
        UserError: if a file of the board is missing or damaged.
    """
    scripts = [vendored(name) for name in ("d3", "plot", "dataTables")]
    scripts += [page_text(name) for name in SCRIPTS]
    table = board.computed[TABLE]
    charts = gan_charts(board)
    data = {
        "rows": [{"defense": str(title)} for title in table["defense"]],
        "charts": charts,
        "file": file_stem(board.name),
        "latex": LATEX_SPECIAL,
    }
    spec = board.board
    return page_environment().get_template("gans.html.j2").render(
        policy=policy(scripts, images=True),
        # Trusted: our own and the libraries' scripts; a test checks that they hold no "</script>".
        scripts=[Markup(script) for script in scripts],
        style=Markup(page_text("page.css")),
        data=json_for_html(data),
        board=spec,
        facts=_facts(board),
        notes=gan_notes(spec, board.extractor, table),
        columns=spec.columns(board.extractor),
        ranking=spec.ranking_column(board.extractor),
        better="more" if spec.more_is_better else "less",
        several_seeds=len(spec.seeds) > 1,
        is_inception=board.extractor == INCEPTION,
        rows=_rows(board),
        charts=charts,
        samples=_samples(board),
        paper_rows=_paper_rows(board),
        ranking_files=_files(board, TABLE, "the ranking"),
        commands=_commands(board),
    )  # fmt: skip


def _rows(board: GanLeaderboard) -> list[Row]:
    table = board.computed[TABLE]
    columns = board.board.columns(board.extractor)
    return [
        Row(
            index=index,
            rank=int(row["rank"]),
            ranks=_span(row["rank_low"], row["rank_high"], "{:.0f}"),
            title=str(row["defense"]),
            about=", ".join(
                filter(None, (row["discriminator"], f"{row['weights']} weights", row["recipe"]))
            ),
            figures=tuple(
                (
                    _number(row[f"{name}_mean"]),
                    _span(row[f"{name}_low"], row[f"{name}_high"], "{:.4g}")
                    if len(board.board.seeds) > 1
                    else "",
                    sort_key(row[f"{name}_mean"]),
                )
                for name in columns
            ),
            parameters=int(row["discriminator_parameters"]),
            seconds=_number(row["seconds_per_step"]),
            seconds_order=sort_key(row["seconds_per_step"]),
            flags=_flags(board, str(row["defense"])),
        )
        for index, row in enumerate(table.to_dict("records"))
    ]


def _flags(board: GanLeaderboard, title: str) -> tuple[tuple[str, str], ...]:
    """Return the flags of a row, each with what was seen in which seed."""
    found: dict[str, list[str]] = defaultdict(list)
    for one in board.evidence:
        if one.file.row != title:
            continue
        if one.file.diverged is not None:
            found["diverged"].append(f"Seed {one.seed}: {one.file.diverged.reason}.")
        for name, sentence in (one.file.manifest.symptoms if one.file.manifest else {}).items():
            found[name].append(f"Seed {one.seed}: {sentence}.")
    return tuple((name, " ".join(sentences)) for name, sentences in found.items())


def _facts(board: GanLeaderboard) -> list[tuple[str, str]]:
    spec = board.board
    gan, manifests = spec.gan, [one.file.manifest for one in board.evidence if one.file.manifest]
    protocols = "; ".join(
        f"{p.name + ': ' if p.name else ''}{p.samples:,} samples against "
        f"{'all' if p.images is None else f'{p.images:,}'} {p.against} images"
        for p in spec.measure.protocols
    )
    versions = dict.fromkeys(manifest.version for manifest in manifests)
    devices = dict.fromkeys(manifest.environment.get("device", "") for manifest in manifests)
    terms = [
        ("Data set", spec.data.name),
        ("Networks", f"{gan.architecture}, width {gan.width}, latent {gan.latent}"),
        (
            "Training",
            f"{gan.steps:,} steps, each with {gan.discriminator_steps} of the discriminator; "
            f"{gan.loss} loss, batches of {gan.batch_size} and {gan.generator_batch_size}, "
            f"Adam {gan.lr:g}, betas {gan.beta1:g} and {gan.beta2:g}, decay {gan.decay}"
            + ("; rows with a recipe of their own say so" if any(r.gan for r in spec.rows) else ""),
        ),
        ("Features", board.extractor),
        ("Measured", protocols),
        ("Ranked by", spec.ranking_column(board.extractor)),
        ("Seeds", ", ".join(map(str, spec.seeds))),
        ("Commit", ", ".join(versions)),
        ("Hardware", "; ".join(filter(None, devices))),
    ]
    return [(term, shortened(value, 400)) for term, value in terms if value]


def _samples(board: GanLeaderboard) -> list[Samples]:
    """Return the grids of samples, in the order of the table."""
    order = {title: i for i, title in enumerate(board.computed[TABLE]["defense"])}
    found = []
    for one in sorted(board.evidence, key=lambda one: (order[one.file.row], one.seed)):
        if one.file.manifest is None:
            found.append(Samples(one.file.row, one.seed, "", "Training diverged."))
            continue
        path = board.folder / samples_name(one.name)
        content = read_bytes(path, longest=PICTURE_BYTES, inside=board.folder)
        if not content.startswith(_PNG):
            raise UserError(f"{path} is not a PNG file; publish the board again.")
        encoded = base64.b64encode(content).decode()
        found.append(Samples(one.file.row, one.seed, f"data:image/png;base64,{encoded}", ""))
    return found


def _paper_rows(board: GanLeaderboard) -> list[tuple[str, str, str, str, str]]:
    """Return row, column, the paper's figure, ours, and the difference."""
    table = board.computed.get(PAPER, pd.DataFrame())
    return [
        (
            str(row["defense"]),
            str(row["column"]),
            _number(row["paper"]),
            _number(row["ours"]),
            _number(row["difference"]),
        )
        for row in table.to_dict("records")
    ]


def _files(board: GanLeaderboard, name: str, about: str) -> Sequence[Download]:
    text = to_safe_csv(board.computed[name])
    stem = f"{board.name}-{name.removesuffix('.csv')}"
    return (download(stem, "csv", about, text),)


def _commands(board: GanLeaderboard) -> str:
    folder = shlex.quote(board.name)
    data = " --data-dir DIR" if board.board.data.name == "image_folder" else ""
    files = dict.fromkeys(f"{board.name}/{SOURCES}/{entry.file}" for entry in board.sources)
    plugins = "".join(f" --plugin {shlex.quote(file)}" for file in files)
    return "\n".join(
        [
            "pip install -e '.[gan]'",
            f"robench run {folder}/board.toml{data}{plugins}",
            f"robench verify {folder}{data}",
        ]
    )


def _number(value: Any) -> str:
    return MISSING if pd.isna(value) else f"{value:.4g}"


def _span(low: Any, high: Any, form: str) -> str:
    if pd.isna(low):
        return ""
    write: Callable[[Any], str] = form.format
    return write(low) if low == high else f"{write(low)}{RANGE}{write(high)}"
