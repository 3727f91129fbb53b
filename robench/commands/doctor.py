"""``robench doctor``: what this installation and machine have, and what is missing."""

import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

import psutil
import torch
from packaging.requirements import Requirement

from robench.data.load import default_data_dir
from robench.entries import missing_package
from robench.registry import REGISTRIES
from robench.runs.jobs import MEMORY, cores
from robench.system.devices import has_bf16
from robench.system.provenance import environment, full_version

MODULES = {"lightning-fabric": "lightning_fabric", "lazy-loader": "lazy_loader",
           "scikit-learn": "sklearn"}  # fmt: skip
"""Packages that are imported under another name than theirs."""


@dataclass(frozen=True)
class Fact:
    """A fact about the installation or the machine.

    Attributes:
        topic: what it is about.
        text: the fact.
        problem: what is wrong and what to do; empty if nothing is.
    """

    topic: str
    text: str
    problem: str = ""


def diagnose() -> list[Fact]:
    """Return the facts, in the order in which a user would look for them."""
    return [*_versions(), *_devices(), *_resources(), *_optional()]


def _versions() -> Iterator[Fact]:
    known = environment(torch.device("cpu"))
    try:
        needed = [Requirement(line) for line in requires("robench") or ()]
        yield Fact("robench", full_version())
    except PackageNotFoundError:
        needed = []
        yield Fact("robench", full_version(), "it is not installed: pip install -e .")
    yield Fact("python", f"{known['python']}, {known['platform']}")
    for requirement in needed:
        if requirement.marker is None:
            yield _package(requirement)


def _package(requirement: Requirement) -> Fact:
    name = requirement.name
    install = f"pip install '{requirement}'"
    try:
        found = version(name)
    except PackageNotFoundError:
        return Fact(name, "absent", f"it is not installed: {install}")
    if not requirement.specifier.contains(found, prereleases=True):
        return Fact(name, found, f"robench needs {requirement}: {install}")
    try:
        importlib.import_module(MODULES.get(name, name))
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        return Fact(name, found, f"it cannot be imported ({reason}): {install} --force-reinstall")
    return Fact(name, found)


def _devices() -> Iterator[Fact]:
    cpu = torch.device("cpu")
    fast = "fast" if has_bf16(cpu) else "not faster than float32, so attacks use float32"
    yield Fact("cpu", f"{environment(cpu)['device'].removeprefix('cpu: ')}; bf16 {fast}")
    limited = os.environ.get("OMP_NUM_THREADS")
    threads = f"{cores()} cores, {torch.get_num_threads()} threads"
    yield Fact("threads", threads + (f" (OMP_NUM_THREADS={limited})" if limited else ""))
    if not torch.cuda.is_available():
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without it"
        yield Fact("cuda", f"not available; torch is {built}")
    for number in range(torch.cuda.device_count()):
        device = torch.device("cuda", number)
        total = torch.cuda.get_device_properties(device).total_memory
        bf16 = "fast" if has_bf16(device) else "not supported"
        name = torch.cuda.get_device_name(device)
        yield Fact(f"cuda:{number}", f"{name}, {total / 2**30:.0f} GiB; bf16 {bf16}")


def _resources() -> Iterator[Fact]:
    free = psutil.virtual_memory().available
    short = f"a narrow network takes up to {MEMORY / 2**30:g} GiB: close other programs"
    yield Fact("memory", f"{free / 2**30:.1f} GiB free", short if free < MEMORY else "")
    data = default_data_dir()
    there = "" if data.is_dir() else ", which is made when a data set is downloaded"
    yield Fact("data sets", f"{data}{there}; mnist5k and digits need no file")


def _optional() -> Iterator[Fact]:
    for registry in REGISTRIES:
        for entry in registry.entries():
            if package := missing_package(entry):
                text = f"needs {package}, which is not installed: pip install '{package}'"
                yield Fact(f"{registry.kind} {entry.name}", text)
