"""The model card of a published network, with evaluation results in the hub's own form."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from robench.base import ThreatModel
from robench.board.cells import Cell
from robench.board.sources import quoted
from robench.checks.wording import percent, radius, some
from robench.errors import UserError
from robench.leaderboard.bundle import names_of
from robench.leaderboard.evidence import SOURCES
from robench.leaderboard.export import escape_markdown
from robench.leaderboard.named import PublishedNetwork
from robench.leaderboard.row import LeaderboardRow, roles
from robench.leaderboard.statistics import Estimate
from robench.runs.records import RowResult

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

_TAGS = ["robench", "adversarial-robustness", "image-classification", "pytorch"]
_TASK = "image-classification"


@dataclass(frozen=True)
class _Figure:
    """The accuracy of one network in one evaluated column, and of its row over all seeds."""

    column: str
    threat_model: ThreatModel | None
    images: int
    own: Estimate
    row: Estimate
    proves: ThreatModel | None = None

    @property
    def within(self) -> str:
        """The threat model in words."""
        if self.proves is not None:
            return radius(*self.proves)
        if self.threat_model is not None:
            return radius(*self.threat_model)
        return "no attack" if self.column == "clean" else "unbounded"

    @property
    def name(self) -> str:
        """The name of the figure in lists of the hub."""
        if self.column == "clean":
            return "Clean accuracy"
        kind = "Certified" if self.proves else "Robust"
        return f"{kind} accuracy, {self.column} ({self.within})"


def model_card(network: PublishedNetwork, repo: str) -> str:
    """Return the README of the repository that a published network is pushed to.

    Args:
        network: the network, of a leaderboard.
        repo: ``ORG/NAME`` on the hub.

    Raises:
        UserError: if huggingface_hub does not accept what it would say.
    """
    from huggingface_hub import ModelCard, ModelCardData

    board, cell = network.board, network.cell
    figures = list(_figures(network))
    data = ModelCardData(
        library_name="robench",
        pipeline_tag=_TASK,
        tags=_TAGS,
        metrics=["accuracy"],
        model_name=f"{cell.row}, seed {cell.seed} ({board.name})",
        eval_results=[_eval_result(network, figure) for figure in figures],
    )
    text = "\n".join(
        [*_heading(network), *_table(network, figures), *_checks(network), *_use(network, repo)]
    )
    try:
        return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}"))
    except ValueError as error:
        raise UserError(f"the hub's client refuses the model card: {error}.") from error


def _figures(network: PublishedNetwork) -> Iterator[_Figure]:
    """Yield the figures that there are, in the order of the leaderboard."""
    result, cell = network.board.result, network.cell
    whole = next(row for row in result.rows if row.title == cell.row)
    alone = LeaderboardRow(result, RowResult(whole.title, whole.costs, (cell.result,))).evaluated
    row = LeaderboardRow(result, whole).evaluated
    main = result.columns[result.board.evaluation.main_column].threat_model
    for column in roles(result):
        own, known = alone[column], result.columns.get(column)
        if own.outcomes and not math.isnan(own.accuracy.mean):
            threat_model = main if known is None else known.threat_model
            images = len(own.outcomes[0])
            proves = None if known is None else known.proves
            yield _Figure(column, threat_model, images, own.accuracy, row[column].accuracy, proves)


def _eval_result(network: PublishedNetwork, figure: _Figure) -> "EvalResult":
    from huggingface_hub import EvalResult

    attacked: dict[str, Any] = {} if figure.column == "clean" else {"attack": figure.column}
    if figure.threat_model is not None:
        attacked |= {"norm": figure.threat_model.norm, "eps": figure.threat_model.eps}
    interval = {"low": round(figure.own.low, 6), "high": round(figure.own.high, 6)}
    return EvalResult(
        task_type=_TASK,
        task_name="Image classification under attack",
        dataset_type=network.board.dataset,
        dataset_name=network.board.dataset,
        dataset_split="test",
        metric_type="accuracy",
        metric_name=figure.name,
        metric_value=round(figure.own.mean, 6),
        metric_args={**attacked, "images": figure.images, **interval},
    )


def _heading(network: PublishedNetwork) -> list[str]:
    board, cell = network.board, network.cell
    lines = [f"# {escape_markdown(f'{cell.row}, seed {cell.seed}')}", ""]
    lines += [
        f"A network of a robench leaderboard, {escape_markdown(board.board.title)}.",
        "",
    ]
    return [*lines, *(f"- {name}: {escape_markdown(value)}" for name, value in _facts(network)), ""]


def _facts(network: PublishedNetwork) -> Iterator[tuple[str, str]]:
    board, spec = network.board, network.cell.file.cell
    if isinstance(spec, Cell):
        recipe = spec.training
        yield "network", f"{spec.model.name}, width {spec.model.width}, stem {spec.model.stem}"
        yield "defense", spec.defense
        yield "training", f"{recipe.method}, {some(recipe.epochs, 'epoch')}"
    else:
        yield "network", spec.architecture
        yield "training", "by its author; robench only evaluated it"
        if spec.origin is not None:
            yield "weights from", spec.origin
    yield "parameters", f"{network.cell.file.costs.parameters:,}"
    yield "data set", board.dataset
    if len(board.board.seeds) > 1:
        yield "seed", f"{spec.seed} of {', '.join(map(str, board.board.seeds))}"
    manifest = network.cell.file.manifest
    assert manifest is not None
    yield "sha256 of the weights", manifest.weights_hash


def _table(network: PublishedNetwork, figures: list[_Figure]) -> list[str]:
    seeds = sum(cell.row == network.cell.row for cell in network.board.cells)
    heads = ["attack", "threat model", "images", "accuracy", "95% interval"]
    heads += [f"row, mean of {seeds} seeds"] if seeds > 1 else []
    lines = ["## Accuracy", "", f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for figure in figures:
        own = figure.own
        cells = [escape_markdown(figure.column), figure.within, str(figure.images)]
        cells += [percent(own.mean), f"{percent(own.low)} to {percent(own.high)}"]
        if seeds > 1:
            mean = figure.row.mean
            cells.append("" if math.isnan(mean) else percent(mean))
        lines.append(f"| {' | '.join(cells)} |")
    return [
        *lines,
        "",
        "Images are a class-balanced sample of the test images, in [0, 1]. The interval is "
        "Wilson's: it says where the figure on unlimited images lies, not how far another seed "
        "could move it.",
        "",
    ]


def _checks(network: PublishedNetwork) -> list[str]:
    report, flags = network.cell.file.checks, network.cell.result.flags
    lines = ["## Checks", ""]
    if report is None:
        return [*lines, "The board was run without robench's checks.", ""]
    if not flags:
        found = some(len(report.findings), "check")
        return [*lines, f"None of the {found} for robustness that is only apparent failed.", ""]
    lines += ["A flag is a question, not a conclusion; these checks failed:", ""]
    for name, sentence in flags.items():
        lines.append(f"- **{escape_markdown(name)}**: {escape_markdown(sentence)}")
    return [*lines, ""]


def _use(network: PublishedNetwork, repo: str) -> list[str]:
    board, spec = network.board, network.cell.file.cell
    lines = [
        "## Use",
        "",
        "`pip install 'robench[hub]'`, and then in Python, for images in [0, 1]:",
        "",
        f'    import robench\n\n    model = robench.load("hf:{repo}")',
        "",
        "or on the command line:",
        "",
        f"    robench attack --model hf:{repo}",
        "",
        "`manifest.json` is the network's manifest in the folder of the leaderboard, which has the "
        "outcome of each image. With that folder, all figures are recomputed from the weights by",
        "",
        f"    robench verify {board.name} --rows all",
        "",
    ]
    own = set(names_of(spec)) if isinstance(spec, Cell) else set()
    code = [entry for entry in board.sources if entry.entry in own]
    if code:
        lines += ["This code does not come with robench, which never runs it from here. Read it, "
                  "and load it with `--plugin`:", ""]  # fmt: skip
        lines += [f"- {quoted(entry.entry)}: `{SOURCES}/{entry.file}`" for entry in code] + [""]
    return lines
