"""How often the checks are right: on models that look robust and are not, and on honest ones."""

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

import torch
from common import machine, options
from zoo.discovery import HALVES, ZOO, Model, discover
from zoo.measure import Measured, Setting, measure, recipe_hash
from zoo.summary import counts, markdown, rewrite, text_line
from zoo.trained import folder

from robench import UserError
from robench.errors import did_you_mean
from robench.system.files import write_json

QUICK = ("temperature_up", "softmax", "eval_noise", "linear", "prototypes", "elu", "standard")
"""Models that need one network, or none that takes long to train."""


def main() -> int:
    arguments = parser().parse_args()
    if arguments.work is not None:
        os.environ["ROBENCH_ZOO"] = str(arguments.work)
    try:
        return run(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    parser = options(__doc__ or "", images=200, jobs=1)
    parser.add_argument("--models", type=Path, default=ZOO, help="a folder of other models")
    parser.add_argument("--only", help="names of models, separated by commas")
    parser.add_argument("--half", choices=[*HALVES, "all"], default="all")
    parser.add_argument("--alone", action="store_true", help="no network to transfer from")
    parser.add_argument("--work", type=Path, help="keep trained networks and results here")
    parser.add_argument("--report", type=Path, help="write the tables between the markers of FILE")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Measure the models that were asked for, and print the counts; return the exit code."""
    if arguments.images < 10 or arguments.jobs < 1:
        raise UserError("--images needs 10 or more, and --jobs 1 or more.")
    images = min(arguments.images, 64) if arguments.quick else arguments.images
    alone = arguments.alone or arguments.quick  # which trains no other network
    setting = Setting(images, alone, arguments.device)
    models = chosen(discover(arguments.models), arguments)
    rows = []
    for row in measured(models, setting, arguments):
        rows.append(row)
        print(text_line(row), flush=True)
    for title, *halves in counts(rows):
        figures = [f"{half} {cell}" for half, cell in zip(HALVES, halves, strict=True)]
        print(f"{title:32} {'; '.join(figures)}")
    print(machine())
    for row in rows:
        for flag, sentence in row.flags.items() if row.outcome == "false alarm" else ():
            print(f"false alarm: {row.name}, {flag}: {sentence}")
    if arguments.json is not None:
        write_json(arguments.json, [asdict(row) for row in rows])
    if arguments.report is not None:
        rewrite(arguments.report, markdown(rows))
    return 0 if len(rows) == len(models) else 1


def chosen(models: Sequence[Model], arguments: argparse.Namespace) -> list[Model]:
    """Return the models that the options name."""
    names = [model.name for model in models]
    wanted = arguments.only.split(",") if arguments.only else names
    if unknown := [name for name in wanted if name not in names]:
        raise UserError(f"no model is named '{unknown[0]}'; {did_you_mean(unknown[0], names)}")
    if arguments.quick and not arguments.only and arguments.models == ZOO:
        wanted = [name for name in QUICK if name in names]
    halves = HALVES if arguments.half == "all" else (arguments.half,)
    return [model for model in models if model.name in wanted and model.half in halves]


def measured(
    models: Sequence[Model], setting: Setting, arguments: argparse.Namespace
) -> Iterator[Measured]:
    """Yield the figures of each model; what was measured before is read."""
    missing = []
    for model in models:
        if (row := read(model, setting)) is None:
            missing.append(model)
        else:
            yield row
    if arguments.jobs == 1:
        for model in missing:
            yield from kept(model.name, arguments.models, setting)
        return
    threads = max(1, (os.cpu_count() or 1) // arguments.jobs)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        arguments.jobs, spawn, initializer=torch.set_num_threads, initargs=(threads,)
    ) as pool:
        waiting = [pool.submit(kept, m.name, arguments.models, setting) for m in missing]
        for done in as_completed(waiting):
            yield from done.result()


def kept(name: str, models: Path, setting: Setting) -> list[Measured]:
    """Measure the model of a name and keep the figures; none if it raises."""
    model = next(model for model in discover(models) if model.name == name)
    try:
        row = measure(model, setting)
    except Exception as error:  # whatever it raises, the others are measured
        print(f"{name}: not measured, {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return []
    write_json(_file(name), {"recipe": recipe_hash(model, setting), "row": asdict(row)})
    return [row]


def read(model: Model, setting: Setting) -> Measured | None:
    """Return the figures that were kept; None if there are none, or they are of other code."""
    try:
        values = json.loads(_file(model.name).read_text())
        return (
            Measured(**values["row"]) if values["recipe"] == recipe_hash(model, setting) else None
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _file(name: str) -> Path:
    return folder() / "results" / f"{name}.json"


if __name__ == "__main__":
    sys.exit(main())
