"""What a person sees: progress bars and tables, by Rich."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from robench.board import Board
from robench.contracts import Defense
from robench.registry import Entry, missing_package
from robench.training.loop import Progress as TrainingProgress


class ScreenWatcher:
    """Shows the cell under way as one bar with accuracy and time left; a context manager."""

    def __init__(self, console: Console, cells: int) -> None:
        self._console = console
        self._cells = cells
        self._count = 0
        self._title = ""
        self._task: TaskID | None = None
        self._attack = ""
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> "ScreenWatcher":
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def cell(self, title: str, seed: int, state: str) -> None:
        """Announce what is done with a cell; one line a cell where there is no terminal."""
        name = f"{title}, seed {seed}"
        if name != self._title:
            self._count += 1
            self._title = name
        if state in ("stored", "diverged") or not self._console.is_terminal:
            self._console.print(f"[{self._count}/{self._cells}] {name}: {state}", markup=False)
        self._replace(f"{name}: {state}")

    def training(self, progress: TrainingProgress) -> None:
        """Move the bar over all epochs of the training."""
        done = progress.epoch * progress.batches + progress.batch
        note = f"epoch {progress.epoch + 1}/{progress.epochs}, accuracy {progress.accuracy:.1%}"
        self._move(done, progress.epochs * progress.batches, note)

    def attacking(self, attack: str, done: int, total: int) -> None:
        """Move the bar over the images of an attack."""
        if attack != self._attack:
            self._attack = attack
            self._replace(f"{self._title}: {attack}" if self._title else attack)
        self._move(done, total, f"{done}/{total} images")

    def measuring(self, network: str, layer: str, done: int, total: int) -> None:
        """Move the bar over the layers of a network; one line each where there is no terminal."""
        if network != self._title:
            self._title = network
            if not self._console.is_terminal:
                self._console.print(f"{network}: measuring {total} layers", markup=False)
            self._replace(network)
        self._move(done, total, f"{layer}, {done + 1}/{total} layers")

    def _replace(self, description: str) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(description.replace("[", "\\["), total=None, note="")

    def _move(self, done: int, total: int, note: str) -> None:
        if self._task is not None:
            self._bar.update(self._task, completed=done, total=total, note=note)


def leaderboard_table(board: Board, table: pd.DataFrame, title: str) -> Table:
    """Return the leaderboard as a Rich table: percent, mean ± std, 95% interval below."""
    shown = Table(
        title=title,
        title_style="bold",
        title_justify="left",
        caption=caption(table),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    shown.add_column("#", justify="right")
    shown.add_column("defense", min_width=10, overflow="fold")
    columns = board.evaluation.columns
    for column in columns:
        ranking = column == board.evaluation.ranking_column
        name = _short(column, columns) + (" ▼" if ranking else "")
        shown.add_column(name, justify="right", no_wrap=True)
    querying = [c for c in columns if f"{c}_queries" in table]
    for column in querying:
        shown.add_column(f"{_short(column, columns)}\nqueries", justify="right")
    shown.add_column("s/epoch", justify="right")
    for row in table.to_dict("records"):
        shown.add_row(
            f"{row['rank']}\n[dim]{row['group']}[/dim]",
            _plain(row["defense"]) + _remarks(row),
            *(_accuracy(row, column) for column in columns),
            *(_figure(row[f"{column}_queries"], "{:.0f}") for column in querying),
            _figure(row["train_seconds_per_epoch"], "{:.1f}"),
        )
    return shown


def _remarks(row: dict[Any, Any]) -> str:
    """Return what is special about a row, below its name: its recipe, its flags."""
    recipe = f"\n[dim]{_plain(row['recipe'])}[/dim]" if row["recipe"] else ""
    return recipe + (f"\n[red]{row['flags']}[/red]" if row["flags"] else "")


def caption(table: pd.DataFrame) -> str:
    """Say on what a table's figures stand."""
    first = table.iloc[0]
    return (
        f"{first['dataset']}, {first['backbone']} of width {first['width']}, "
        f"seeds {first['seeds']}, {first['samples']} test images; robust accuracy in % with 95% "
        f"interval (Wilson); rows that share a letter are not distinguishable (Holm, 5%); "
        f"robench {first['version']}"
    )


def evaluation_table(table: pd.DataFrame, title: str) -> Table:
    """Return the table of ``robench attack``, a row an attack; its CSV has more columns."""
    shown = Table(title=title, title_style="bold", title_justify="left", box=box.SIMPLE_HEAD)
    shown.add_column("attack", overflow="fold", min_width=20)
    names = {
        "samples": ("images", "{:d}"),
        "accuracy": ("accuracy", "{:.1%}"),
        "success_rate": ("fooled", "{:.1%}"),
        "survive_rounding": ("still in\n8 bits", "{:.1%}"),
        "mean_queries": ("queries\n(mean)", "{:.4g}"),
        "median_queries": ("(median)", "{:.4g}"),
        "mean_forwards": ("forwards", "{:.4g}"),
        "mean_backwards": ("back-\nwards", "{:.4g}"),
        "largest_linf": ("Linf\n(largest)", "{:.4g}"),
        "median_l2": ("L2\n(median)", "{:.4g}"),
    }
    for name, _ in names.values():
        shown.add_column(name, justify="right", no_wrap=True)
    for row in table.to_dict("records"):
        figures = (_figure(row[column], form) for column, (_, form) in names.items())
        shown.add_row(_plain(str(row["attack"])), *figures)
    return shown


def cross_check_table(table: pd.DataFrame, title: str) -> Table:
    """Return how far libraries agree, a row an attack and library."""
    shown = Table(title=f"{title}: the same attacks through three libraries", title_style="bold")
    shown.title_justify, shown.box = "left", box.SIMPLE_HEAD
    names = ("attack", "library", "its accuracy", "robench's", "same verdict",
             "only robench\nfools", "only library\nfools", "p (McNemar)",
             "differ by more\nthan chance")  # fmt: skip
    for name in names:
        shown.add_column(
            name,
            justify="left" if name in ("attack", "library") else "right",
            no_wrap=name == "library",
        )
    for row in table.to_dict("records"):
        shares = (f"{100 * row[k]:.1f}%" for k in ("accuracy", "robench_accuracy", "agreement"))
        counts = (str(row[k]) for k in ("only_robench_fools", "only_library_fools"))
        beyond = str(row["beyond_chance"]).split()
        listed = f"{len(beyond)}: {' '.join(beyond[:8])}" if beyond else "none"
        shown.add_row(
            row["attack"], row["library"], *shares, *counts, f"{row['p_value']:.2g}", listed
        )
    return shown


def spectra_table(table: pd.DataFrame, title: str, caption: str) -> Table:
    """Return the spectra of one network, a row a layer and operator."""
    shown = Table(title=title, title_style="bold", title_justify="left", box=box.SIMPLE_HEAD)
    shown.caption, shown.caption_justify = caption, "left"
    shown.add_column("layer", overflow="fold")
    shown.add_column("operator")
    names = {
        "channel_condition_median": "channel-wise\ncondition",
        "channel_condition_max": "worst\nchannel",
        "condition": "condition",
        "norm": "norm\n(circular)",
        "norm_bound": "bound\n(Gram)",
        "padded_norm": "norm\n(as padded)",
    }
    for name in names.values():
        shown.add_column(name, justify="right")
    for row in table.to_dict("records"):
        figures = (_figure(row[column], "{:.4g}") for column in names)
        shown.add_row(str(row["layer"]), str(row["operator"]), *figures)
    return shown


def ratios_table(ratios: pd.DataFrame) -> Table:
    """Return how much better conditioned networks are than the reference, an average of layers."""
    shown = Table(
        title=f"cond({ratios['network'].iloc[0]}) / cond(network), averaged over layers",
        title_style="bold",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    shown.add_column("network")
    shown.add_column("operator")
    for name in ("layers", "arithmetic mean", "geometric mean", "log10 of it"):
        shown.add_column(name, justify="right")
    for row in ratios.to_dict("records"):
        geometric = row["geometric"]
        logarithm = math.log10(geometric) if geometric > 0 else -math.inf
        figures = (f"{row['arithmetic']:.4g}", f"{geometric:.4g}", f"{logarithm:.2f}")
        shown.add_row(_plain(row["network"]), row["operator"], str(row["layers"]), *figures)
    return shown


def plan_tables(
    samples: pd.DataFrame, seeds: pd.DataFrame, difference: float, power: float
) -> list[Table]:
    """Return what ``robench plan`` says: images for two networks, and seeds for two defenses."""
    style: dict[str, Any] = {"title_justify": "left", "box": box.SIMPLE_HEAD, "pad_edge": False}
    goal = f"{difference:g} points, found with a chance of {100 * power:g}% at 5%"
    images = Table(title=f"Two networks that differ by {goal}", **style)
    for name in ("disagree on", "test images"):
        images.add_column(name, justify="right")
    for disagreement, count in zip(samples["disagreement"], samples["samples"], strict=True):
        images.add_row(f"{100 * disagreement:.1f}% of them", f"{count:,}")
    trainings = Table(title=f"Two defenses whose means differ by {goal}", **style)
    for name in ("std over seeds", "seeds of each"):
        trainings.add_column(name, justify="right")
    for spread, count in zip(seeds["seed_std"], seeds["seeds"], strict=True):
        trainings.add_row(f"{100 * spread:.2f} points", f"{count:,}")
    return [images, trainings]


def defenses_table(entries: Iterable[Entry[Defense]]) -> Table:
    """Return the defenses as a table: name, what it does, its kind and facts, reference."""
    shown = Table(
        title="defenses",
        title_style="bold",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    shown.add_column("name", no_wrap=True)
    for column in ("what it does", "kind", "facts", "reference"):
        shown.add_column(column)
    for entry in entries:
        kind = _plain(str(getattr(entry.build, "kind", "")))
        cells = (_plain(entry.summary), kind, "; ".join(facts(entry)), _plain(entry.reference))
        shown.add_row(entry.name, *cells)
    return shown


def facts(entry: Entry[Defense]) -> list[str]:
    """Return what a defense declares about itself, in words."""
    declared: Any = entry.build
    if not (isinstance(declared, type) and issubclass(declared, Defense)):
        return []
    supports = asdict(declared.supports)
    missing = " (not installed)" if missing_package(entry) else ""
    return [
        *(["1-Lipschitz layers"] if declared.strict_lipschitz else []),
        *(["state in training"] if declared.stateful_in_training else []),
        *(f"sets {name}={value}" for name, value in declared.recipe.items()),
        *(f"no {name.replace('_', ' ')}" for name, supported in supports.items() if not supported),
        *([f"needs {declared.requires}{missing}"] if declared.requires else []),
    ]


def entries_table(entries: Iterable[Entry[Any]], title: str) -> Table:
    """Return a registry as a table: name, what it does, where it comes from."""
    shown = Table(title=title, title_style="bold", title_justify="left")
    shown.add_column("name", no_wrap=True)
    shown.add_column("what it does")
    shown.add_column("reference")
    for entry in entries:
        shown.add_row(entry.name, _plain(entry.summary), _plain(entry.reference))
    return shown


def _accuracy(row: dict[Any, Any], column: str) -> str:
    mean, std = row[f"{column}_mean"], row[f"{column}_std"]
    if math.isnan(mean):
        return "-"
    spread = "" if math.isnan(std) else f" ± {100 * std:.1f}"
    low, high = row[f"{column}_low"], row[f"{column}_high"]
    return f"{100 * mean:.1f}{spread}\n[dim]{100 * low:.0f}-{100 * high:.0f}[/dim]"


def _short(column: str, columns: Sequence[str]) -> str:
    """Return a column's name without its options, where that names no other column."""
    name = column.partition("(")[0]
    others = [other.partition("(")[0] for other in columns if other != column]
    return column if name in others else name


def _figure(value: float, form: str) -> str:
    return "-" if math.isnan(value) else form.format(value)


def _plain(text: str) -> str:
    return text.replace("[", "\\[")
