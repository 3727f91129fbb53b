"""Time AutoAttack and its parts in robench, torchattacks and, if installed, the authors' code.

All of them attack the same images of one network, with the authors' numbers: 100 steps, 9 target
classes, 5,000 queries (torchattacks' own AutoAttack takes 10 steps, so that its parts are built
here). Each part alone gets all the images that are classified correctly; the whole gives each part
those that are left. Images on which they differ are listed by their numbers.

    python benchmarks/autoattack.py --checkpoint CELL --data image_folder:DIR
    python benchmarks/autoattack.py --quick
    python benchmarks/autoattack.py --only apgd-ce,square --queries 1000
    python benchmarks/autoattack.py --only autoattack --samples 1000 --rounds 1 --keep FILE

With ``--keep``, each attack's figures are written as it ends, and the same command goes on after
those that FILE has: on 1,000 images an attack takes an hour. Figures of other versions of robench
or of a peer are measured again. Seconds of different days are not comparable.
"""

import copy
import importlib.util
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torchattacks
from common import Case, Target, case_of, machine, radius, report, target, target_options, timed
from torch import Tensor, nn

from robench import evaluate
from robench.system.files import write_json
from robench.system.provenance import code_version, library_version

PARTS = ("apgd-ce", "apgd-t", "fab-t", "square")
WHOLE = "autoattack"


@dataclass(frozen=True)
class Numbers:
    """What all of them search with."""

    eps: float
    steps: int
    queries: int
    targets: int
    batch: int


@dataclass
class Figures:
    """What one version of a contestant needed and left, round after round."""

    version: str = ""
    seconds: list[float] = field(default_factory=list)
    robust: list[bool] = field(default_factory=list)


class Record:
    """Figures by "what/contestant", kept in a file if one is named.

    Raises:
        SystemExit: if the file is of another network, or of other images or numbers.
    """

    def __init__(self, file: Path | None, of: str) -> None:
        self.file, self.of = file, of
        self.figures: dict[str, Figures] = {}
        if file is None or not file.exists():
            return
        kept = json.loads(file.read_text())
        if kept["of"] != of:
            sys.exit(f"error: {file} has figures of {kept['of']}, not of {of}; name another file.")
        self.figures = {name: Figures(**figures) for name, figures in kept["figures"].items()}

    def of_contestant(self, what: str, name: str) -> Figures:
        """Return the figures of its present version so far, to be added to."""
        version = code_version() if name == "robench" else str(library_version(name))
        kept = self.figures.get(f"{what}/{name}")
        if kept is None or kept.version != version:
            kept = self.figures[f"{what}/{name}"] = Figures(version)
        return kept

    def write(self) -> None:
        """Write the file, if there is one."""
        if self.file is not None:
            figures = {name: vars(own) for name, own in self.figures.items()}
            write_json(self.file, {"of": self.of, "figures": figures})


Contestant = Callable[[str, Target, Numbers], Tensor]
"""(what, network and images, numbers) -> which images are still classified correctly, (N,)."""


def robench(what: str, case: Target, numbers: Numbers) -> Tensor:
    """Run a part or the whole in robench."""
    eps, steps = f"eps={numbers.eps}", f"steps={numbers.steps}"
    targets = f"targets={numbers.targets}"
    name = {
        "apgd-ce": f"apgd({eps}, {steps})",
        "apgd-t": f"apgd({eps}, {steps}, loss='targeted', {targets})",
        "fab-t": f"fab({eps}, {steps}, targeted=true, {targets})",
        "square": f"square({eps}, queries={numbers.queries})",
        WHOLE: f"autoattack({eps}, {steps}, queries={numbers.queries})",
    }[what]
    found = evaluate(case.model, case.images, case.labels, [name], batch_size=numbers.batch)
    return torch.from_numpy(found.attacks[name].robust)


def torchattacks_(what: str, case: Target, numbers: Numbers) -> Tensor:
    """Run the parts of torchattacks, each on what the one before has left."""
    shared = {"eps": numbers.eps, "norm": "Linf"}
    stepped = {**shared, "steps": numbers.steps}
    targeted = {**stepped, "n_classes": numbers.targets + 1}
    attacks = {
        "apgd-ce": torchattacks.APGD(case.model, **stepped, loss="ce"),
        "apgd-t": torchattacks.APGDT(case.model, **targeted),
        "fab-t": torchattacks.FAB(case.model, **targeted, multi_targeted=True),
        "square": torchattacks.Square(case.model, **shared, n_queries=numbers.queries),
    }
    wanted = PARTS if what == WHOLE else (what,)
    return _in_turn({name: attacks[name] for name in wanted}, case, numbers.batch)


def pyautoattack(what: str, case: Target, numbers: Numbers) -> Tensor:
    """Run the authors' code: a part, or their standard version."""
    import pyautoattack as authors

    device = case.images.device
    attack = authors.AutoAttack(
        case.model, norm="Linf", eps=numbers.eps, version="custom", seed=0, device=str(device),
        attacks=list(PARTS if what == WHOLE else (what,)),
    )  # fmt: skip
    attack.apgd.n_restarts = attack.fab.n_restarts = 1
    attack.apgd.n_iter = attack.apgd_targeted.n_iter = attack.fab.n_iter = numbers.steps
    attack.apgd_targeted.n_target_classes = attack.fab.n_target_classes = numbers.targets
    attack.square.n_queries = numbers.queries
    found = attack.run_standard_evaluation(case.images, case.labels, batch_size=numbers.batch)
    found = found[0] if isinstance(found, tuple) else found
    return _right(case.model, found, case.labels, numbers.batch)


PEERS: Mapping[str, Contestant] = {"torchattacks": torchattacks_, "pyautoattack": pyautoattack}


def contestants(against: str | None) -> Mapping[str, Contestant]:
    """Return ours and those that it is compared with, if they are installed: all by default."""
    wanted = PEERS if against is None else {against: PEERS[against]}
    installed = {name: run for name, run in wanted.items() if importlib.util.find_spec(name)}
    return {"robench": robench, **installed}


def _in_turn(
    attacks: Mapping[str, Callable[[Tensor, Tensor], Tensor]], case: Target, batch: int
) -> Tensor:
    right = _right(case.model, case.images, case.labels, batch)
    for attack in attacks.values():
        for rows in right.nonzero().squeeze(1).split(batch):
            at = rows.to(case.images.device)
            x, y = case.images[at], case.labels[at]
            right[rows] = _right(case.model, attack(x, y), y, batch)
    return right


def _right(model: nn.Module, images: Tensor, labels: Tensor, batch: int) -> Tensor:
    with torch.no_grad():
        logits = torch.cat([model(x) for x in images.split(batch)])
    return (logits.argmax(1) == labels).cpu()


def _different(ours: list[bool], theirs: list[bool]) -> str:
    """Return the numbers of the images that only one of them has fooled."""
    pairs = list(enumerate(zip(ours, theirs, strict=True)))
    only_ours = [at for at, (left, left_by_them) in pairs if left_by_them and not left]
    only_theirs = [at for at, (left, left_by_them) in pairs if left and not left_by_them]
    return f"only ours fools {only_ours}; only theirs fools {only_theirs}"


def main() -> None:
    parser = target_options(
        str(__doc__).split("\n", 1)[0], samples=200, rounds=3, batch=128, steps=100, queries=5000
    )
    parser.add_argument("--eps", type=radius, help="8/255 if a checkpoint is given, else 0.2")
    parser.add_argument("--only", help=f"of {', '.join((*PARTS, WHOLE))}: which to run")
    parser.add_argument("--against", choices=list(PEERS), help="the only one to compare with")
    parser.add_argument("--keep", type=Path, help="keep figures in this file, and go on from it")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.samples, arguments.rounds = 32, 1
        arguments.steps, arguments.queries = 10, 300
    chosen = arguments.only.split(",") if arguments.only else [*PARTS, WHOLE]
    if unknown := set(chosen) - {*PARTS, WHOLE}:
        parser.error(f"--only names {', '.join(sorted(unknown))}")
    case = target(arguments, arguments.samples)
    classes = _classes(case)
    numbers = Numbers(
        eps=arguments.eps or (8 / 255 if arguments.checkpoint else 0.2),
        steps=arguments.steps, queries=arguments.queries, targets=min(9, classes - 1),
        batch=arguments.batch,
    )  # fmt: skip
    clean = _right(case.model, case.images, case.labels, numbers.batch).float().mean().item()
    title = f"{case.title}; {100 * clean:.1f}% right; {numbers}"
    print(f"{title}\n{machine()}")
    record = Record(arguments.keep, title)
    cases: dict[str, Case] = {}
    runs = contestants(arguments.against)
    for what in chosen:
        cases |= compare(what, runs, case, numbers, arguments.rounds, record)
    report(cases, arguments.json)


def compare(
    what: str,
    runs: Mapping[str, Contestant],
    case: Target,
    numbers: Numbers,
    rounds: int,
    record: Record,
) -> dict[str, Case]:
    """Time a part or the whole in turn, print accuracies and differences; return the ratios."""
    figures = {name: record.of_contestant(what, name) for name in runs}
    for done in range(rounds):
        for name, run in runs.items():
            own = figures[name]
            if len(own.seconds) > done:
                continue
            # As users call them: no parameter frozen, and nothing left of the one before.
            attacked = Target(copy.deepcopy(case.model), case.images, case.labels, case.title)
            found: list[Tensor] = []
            seconds = timed(lambda: found.append(run(what, attacked, numbers)))  # noqa: B023
            own.seconds.append(seconds)
            own.robust = found[0].tolist()
            record.write()
            # An hour later the next one may be interrupted.
            print(f"{what}, {name}: {100 * _share(own):.1f}%, {seconds:.0f} s", file=sys.stderr)
    print(what)
    ours = figures["robench"]
    for name, own in figures.items():
        shown = f"{100 * _share(own):5.1f}% robust, {min(own.seconds):8.2f} s"
        extra = "" if name == "robench" else f"; {_different(ours.robust, own.robust)}"
        print(f"  {name:14}{shown}{extra}", flush=True)
    return {
        f"{what}/{name}": case_of(ours.seconds, own.seconds)
        for name, own in figures.items()
        if name != "robench"
    }


def _share(figures: Figures) -> float:
    return sum(figures.robust) / len(figures.robust)


def _classes(case: Target) -> int:
    with torch.no_grad():
        return int(case.model(case.images[:1]).shape[1])


if __name__ == "__main__":
    main()
