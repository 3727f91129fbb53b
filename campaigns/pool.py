"""Trials in several processes."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

Work = TypeVar("Work")
Result = TypeVar("Result")


def in_processes(
    trial: Callable[[Work], Result],
    work: Iterable[Work],
    jobs: int,
    prepare: Callable[[Path], Any],
    root: Path,
) -> Iterator[Result]:
    """Yield the results of trials as they are done.

    Args:
        trial: a function of a module, since it is pickled.
        work: what each trial is given.
        jobs: the number of processes; with one, the trials run in this process.
        prepare: called once in each process, with ``root``.
        root: the folder that ``prepare`` gets.
    """
    ready = partial(prepare, root)
    if jobs == 1:
        ready()
        yield from map(trial, work)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs, ready) as pool:
        yield from pool.imap_unordered(trial, work, chunksize=4)
