"""Run the benchmarks, and print their figures beside those that robench has published.

    python benchmarks/all.py --quick --json FILE

A measured ratio below nine tenths of the published one falls short; with ``--quick`` the small
cases are not the published ones, and the table says how they differ. Run it on an otherwise idle
machine.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from common import machine, options

from robench.errors import did_you_mean
from robench.system.files import write_json

HERE = Path(__file__).resolve().parent
TAKES_A_NETWORK = ("attacks", "simba")
"""Scripts with the options ``--checkpoint`` and ``--data``; ``training`` takes the latter."""

SHORT = 0.9
"""A ratio below this share of the published one falls short: medians of a few rounds vary."""


@dataclass(frozen=True)
class Claim:
    """A published ratio.

    Attributes:
        what: what is compared with what.
        script: the benchmark that measures it.
        case: its name among the ratios of that benchmark.
        published: the ratio that ``benchmarks/README.md`` gives.
        sentence: where it does.
        quick: how the small case differs from the published one.
    """

    what: str
    script: str
    case: str
    published: float
    sentence: str
    quick: str


@dataclass(frozen=True)
class Found:
    """A claim, with the ratio that was measured now; None if its benchmark failed."""

    claim: Claim
    measured: float | None

    @property
    def short(self) -> bool:
        """Whether the measured ratio falls short of the published one."""
        return self.measured is None or self.measured < SHORT * self.claim.published


def claims() -> list[Claim]:
    """Return what is claimed, in the order of the benchmarks."""
    return [Claim(**entry) for entry in tomllib.loads((HERE / "claims.toml").read_text())["claim"]]


def measured(script: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Run a benchmark, which prints its own report; return its ratios, none if it failed."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ratios.json"
        command = [sys.executable, str(HERE / f"{script}.py"), "--json", str(file)]
        command += ["--device", arguments.device, *(["--quick"] if arguments.quick else [])]
        if arguments.checkpoint is not None and script in TAKES_A_NETWORK:
            command += ["--checkpoint", str(arguments.checkpoint)]
        if arguments.data is not None and script in (*TAKES_A_NETWORK, "training"):
            command += ["--data", arguments.data]
        print(f"\n== {script}.py", flush=True)
        if subprocess.run(command, check=False).returncode != 0 or not file.exists():
            return {}
        return {name: case["ratio"] for name, case in json.loads(file.read_text()).items()}


def table(found: Sequence[Found], quick: bool) -> str:
    """Return a line for each claim, and what falls short."""
    width = max(len(one.claim.what) for one in found)
    lines = [f"{'ratio':{width}}  published  measured"]
    for one in found:
        now = "failed" if one.measured is None else f"{one.measured:.2f}"
        line = f"{one.claim.what:{width}}  {one.claim.published:9.2f}  {now:>8}"
        line += "  falls short" if one.short else ""
        lines.append(line + (f"  ({one.claim.quick})" if quick else ""))
    short = sum(one.short for one in found)
    return "\n".join([*lines, f"{len(found) - short} of {len(found)} hold; {short} fall short."])


def parser() -> argparse.ArgumentParser:
    parser = options(str(__doc__).split("\n", 1)[0])
    parser.add_argument("--only", help="scripts, separated by commas")
    parser.add_argument("--checkpoint", type=Path, help="a network that robench trained")
    parser.add_argument("--data", help="its data set, e.g. image_folder:DIR")
    return parser


def main() -> int:
    arguments = parser().parse_args()
    known = list(dict.fromkeys(claim.script for claim in claims()))
    chosen = arguments.only.split(",") if arguments.only else known
    if unknown := [name for name in chosen if name not in known]:
        hint = did_you_mean(unknown[0], known)
        print(f"error: no claim is about '{unknown[0]}'; {hint}", file=sys.stderr)
        return 2
    ratios = {name: measured(name, arguments) for name in chosen}
    found = [Found(c, ratios[c.script].get(c.case)) for c in claims() if c.script in ratios]
    print(f"\n{table(found, arguments.quick)}\n{machine()}")
    if arguments.json is not None:
        write_json(arguments.json, [asdict(one) | {"short": one.short} for one in found])
    return 1 if any(one.measured is None for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
