"""Time AutoAttack and its parts in robench, torchattacks and, if installed, the authors' code.

All of them attack the same images of one network, with the authors' numbers: 100 steps, 9 target
classes, 5,000 queries (torchattacks' own AutoAttack takes 10 steps, so that its parts are built
here). Each part alone gets all the images that are classified correctly; the whole gives each part
those that are left. Images on which they differ are listed by their numbers.

    python benchmarks/autoattack.py --checkpoint CELL --data image_folder:DIR
    python benchmarks/autoattack.py --quick
    python benchmarks/autoattack.py --only apgd-ce,square --queries 1000
"""

import copy
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torchattacks
from common import Case, Target, case_of, machine, radius, report, target, target_options, timed
from torch import Tensor, nn

from robench import evaluate

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


def contestants() -> Mapping[str, Contestant]:
    """Return those that are installed; ours first."""
    found: dict[str, Contestant] = {"robench": robench, "torchattacks": torchattacks_}
    if importlib.util.find_spec("pyautoattack") is not None:
        found["pyautoattack"] = pyautoattack
    return found


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


def _different(ours: Tensor, theirs: Tensor) -> str:
    """Return the numbers of the images that only one of them has fooled."""
    lists = {"only ours fools": theirs & ~ours, "only theirs fools": ours & ~theirs}
    return "; ".join(f"{text} {at.nonzero().flatten().tolist()}" for text, at in lists.items())


def main() -> None:
    parser = target_options(
        str(__doc__).split("\n", 1)[0], samples=200, rounds=3, batch=128, steps=100, queries=5000
    )
    parser.add_argument("--eps", type=radius, help="8/255 if a checkpoint is given, else 0.2")
    parser.add_argument("--only", help=f"of {', '.join((*PARTS, WHOLE))}: which to run")
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
    print(f"{case.title}; {100 * clean:.1f}% right; {numbers}\n{machine()}")
    cases: dict[str, Case] = {}
    for what in chosen:
        cases |= compare(what, case, numbers, arguments.rounds)
    report(cases, arguments.json)


def compare(what: str, case: Target, numbers: Numbers, rounds: int) -> dict[str, Case]:
    """Time a part or the whole in turn, print accuracies and differences; return the ratios."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants()}
    robust: dict[str, Tensor] = {}
    for _ in range(rounds):
        for name, run in contestants().items():
            # As users call them: no parameter frozen, and nothing left of the one before.
            own = Target(copy.deepcopy(case.model), case.images, case.labels, case.title)
            seconds[name].append(
                timed(lambda: robust.update({name: run(what, own, numbers)}))  # noqa: B023
            )
            # An hour later the next one may be interrupted.
            accuracy = 100 * robust[name].float().mean().item()
            print(f"{what}, {name}: {accuracy:.1f}%, {seconds[name][-1]:.0f} s", file=sys.stderr)
    print(what)
    for name, right in robust.items():
        shown = f"{100 * right.float().mean().item():5.1f}% robust, {min(seconds[name]):8.2f} s"
        extra = "" if name == "robench" else f"; {_different(robust['robench'], right)}"
        print(f"  {name:14}{shown}{extra}", flush=True)
    theirs: dict[str, Any] = {name: values for name, values in seconds.items() if name != "robench"}
    return {f"{what}/{name}": case_of(seconds["robench"], theirs[name]) for name in theirs}


def _classes(case: Target) -> int:
    with torch.no_grad():
        return int(case.model(case.images[:1]).shape[1])


if __name__ == "__main__":
    main()
