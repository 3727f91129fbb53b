"""Provenance of a result: versions, code, machine. Nothing private is recorded."""

import platform
import re
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from robench.system.processes import Shard
from robench.system.reading import sha256_of

PACKAGES = (
    "robench", "torch", "torchvision", "torchattacks", "foolbox", "adv_lib", "numpy", "scipy",
)  # fmt: skip
"""Packages whose versions are recorded; libraries of attacks by the prefix of their attacks."""

ABSENT = "absent"
"""What is recorded of a package that is not installed."""


def file_hash(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal.

    Raises:
        UserError: if it is missing, no plain file, or cannot be read.
    """
    return sha256_of(path)


@cache
def code_version() -> str:
    """Return the commit of the code, with ``+dirty`` if it is modified; else robench's version.

    In a git checkout a new file counts as well, unless git ignores it: it may be an entry that was
    run. A wheel knows the commit that it was built from.
    """
    source = Path(__file__).resolve().parent
    commit = _git(source, "rev-parse", "--short=12", "HEAD")
    ours = _git(source, "ls-files", "--error-unmatch", Path(__file__).name)
    if not commit or not ours:
        return _built_from(source.parent / "commit.txt") or _version("robench")
    code = [":/robench", ":/attacks", ":/defenses"]
    dirty = _git(source, "status", "--porcelain", "--untracked-files=normal", "--", *code)
    return f"{commit}+dirty" if dirty else commit


def library_version(package: str) -> str | None:
    """Return the name and the version of a package, or None if it is not installed."""
    found = _version(package)
    return None if found == ABSENT else f"{package} {found}"


def full_version() -> str:
    """Return the version of robench and the commit of its code, for people to read."""
    return f"{_version('robench')}, code {code_version()}"


KNOWN = frozenset({"python", "platform", "device", "threads", "processes", "training", *PACKAGES})
"""Everything that :func:`environment` and :func:`timed_on` name, in this version or before."""


def environment(device: torch.device) -> dict[str, str]:
    """Return the versions and the type of machine, without host, user or path."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "device": f"{device.type}: {name}",
        "threads": str(torch.get_num_threads()),
        **{package: _version(package) for package in PACKAGES},
    }


ALONE = "alone"
"""What an environment says under ``training`` of one during which the run did nothing else."""


def timed_on(shard: Shard, *, alone: bool) -> dict[str, str]:
    """Return what the seconds of a training depend on besides machine and threads, if anything.

    Args:
        shard: the share of this process in it.
        alone: whether the run did nothing else meanwhile.
    """
    processes = {"processes": str(shard.count)} if shard.count > 1 else {}
    return processes | ({"training": ALONE} if alone else {})


MOST_NAMED = 3
"""Machines, or counts of threads, that an environment names of one training."""


def in_sessions(sessions: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return what a manifest says of a training that was done in several sessions.

    Where they differ it names each, as in ``cpu: one machine and cpu: another``. It was alone if
    it was so in all of them.

    Args:
        sessions: the environments of the sessions; one of which an earlier version recorded nothing
            is empty.
    """
    known = [session for session in sessions if session]
    found = {key: _all_of([s[key] for s in known if key in s]) for key in ("device", "threads")}
    if any("processes" in session for session in known):
        found["processes"] = _all_of([session.get("processes", "1") for session in known])
    if sessions and all(session.get("training") == ALONE for session in sessions):
        found["training"] = ALONE
    return {key: value for key, value in found.items() if value}


def _all_of(values: Sequence[str]) -> str:
    different = list(dict.fromkeys(values))
    if len(different) > MOST_NAMED:
        different[1:] = [f"{len(different) - 1} others"]
    return " and ".join(different)


def count_peak_memory_anew(device: torch.device) -> None:
    """Forget the peak of a GPU's memory; that of a process cannot be forgotten."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_mib(device: torch.device) -> int:
    """Return the peak memory so far: of the GPU if one is used, else of the process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device) / 2**20)
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20)


def _built_from(file: Path) -> str:
    """Return the commit that a wheel was built from, or nothing."""
    try:
        written = file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""
    return written if re.fullmatch(r"[0-9a-f]{7,40}(\+dirty)?", written) else ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ABSENT


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
