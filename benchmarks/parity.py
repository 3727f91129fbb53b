"""Compare PGD in robench and torchattacks over many random starts: is one weaker than the other?

Both attack the same images with the same radius, step and number of steps, and both are predicted
at the last iterate. One run of each says little, since a random start decides some images; over
ten seeds, a difference of means is given with its standard error.

    python benchmarks/parity.py --checkpoint CELL --data image_folder:DIR --eps 4/255,8/255
    python benchmarks/parity.py --model my_nets.py:build --checkpoint FILE --data mnist5k --eps 0.1
    python benchmarks/parity.py --quick
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import torch
import torchattacks
from common import EXACT, Target, machine, radius, target, target_options
from torch import Tensor

from robench import evaluate
from robench.system.files import write_json


@dataclass(frozen=True)
class Setting:
    """One PGD: radius, step, number of steps, and the batch size of all."""

    eps: float
    step: float
    steps: int
    batch: int


@dataclass(frozen=True)
class Difference:
    """Accuracies in percent, means over the seeds.

    Attributes:
        eps: the radius.
        ours: of robench.
        theirs: of torchattacks.
        points: ours minus theirs.
        error: the standard error of that difference.
        only_ours: images that robench fools with every seed and torchattacks with none.
        only_theirs: the other way round.
    """

    eps: float
    ours: float
    theirs: float
    points: float
    error: float
    only_ours: list[int]
    only_theirs: list[int]


Run = Callable[[Target, Setting, int], Tensor]
"""(network and images, PGD, seed) -> which images stay right, (N,) bool."""


def robench(without: tuple[str, ...]) -> Run:
    """Return PGD in robench without some of its shortcuts."""

    def run(case: Target, pgd: Setting, seed: int) -> Tensor:
        name = f"pgd-{pgd.steps}(eps={pgd.eps}, step_size={pgd.step}, judge='last')"
        found = evaluate(
            case.model, case.images, case.labels, [name],
            seed=seed, batch_size=pgd.batch, without=without,
        )  # fmt: skip
        return torch.from_numpy(found.attacks[name].robust)

    return run


def torchattacks_(case: Target, pgd: Setting, seed: int) -> Tensor:
    """Run PGD of torchattacks."""
    torch.manual_seed(seed)
    attack = torchattacks.PGD(case.model, eps=pgd.eps, alpha=pgd.step, steps=pgd.steps)
    found = []
    for x, y in zip(case.images.split(pgd.batch), case.labels.split(pgd.batch), strict=True):
        adversarial = attack(x, y)
        with torch.no_grad():
            right = (case.model(x).argmax(1) == y) & (case.model(adversarial).argmax(1) == y)
        found.append(right.cpu())
    return torch.cat(found)


def over_seeds(run: Run, case: Target, pgd: Setting, seeds: int) -> Tensor:
    """Return which images stay right, (seeds, N) bool."""
    return torch.stack([run(case, pgd, seed) for seed in range(seeds)])


def difference(eps: float, ours: Tensor, theirs: Tensor) -> Difference:
    """Compare two (seeds, N) sets of outcomes."""
    one, other = (100 * right.double().mean(1) for right in (ours, theirs))
    error = ((one.var() + other.var()) / len(one)).sqrt().item()
    here, there = ours.any(0), theirs.any(0)
    return Difference(
        eps=eps, ours=one.mean().item(), theirs=other.mean().item(),
        points=(one.mean() - other.mean()).item(), error=error,
        only_ours=(~here & theirs.all(0)).nonzero().flatten().tolist(),
        only_theirs=(~there & ours.all(0)).nonzero().flatten().tolist(),
    )  # fmt: skip


def main() -> None:
    parser = target_options(
        str(__doc__).split("\n", 1)[0], samples=1000, seeds=10, steps=20, batch=256
    )
    parser.add_argument("--eps", default="", help="radii, separated by commas")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.samples, arguments.seeds, arguments.steps = 200, 4, 10
    case = target(arguments, arguments.samples)
    radii = [radius(eps) for eps in arguments.eps.split(",") if eps] or [
        8 / 255 if case.images.shape[1] == 3 else 0.2
    ]
    print(f"{case.title}; PGD-{arguments.steps}, {arguments.seeds} seeds\n{machine()}")
    runs: Mapping[str, Run] = {"float32": robench(EXACT), "with all shortcuts": robench(())}
    found: dict[str, list[dict[str, object]]] = {name: [] for name in runs}
    for eps in radii:
        pgd = Setting(eps, eps / 4, arguments.steps, arguments.batch)
        theirs = over_seeds(torchattacks_, case, pgd, arguments.seeds)
        for name, run in runs.items():
            seen = difference(eps, over_seeds(run, case, pgd, arguments.seeds), theirs)
            found[name].append(asdict(seen))
            print(
                f"eps {eps:.4f}, {name:18}: {seen.ours:.2f}% against {seen.theirs:.2f}%, "
                f"{seen.points:+.2f} ± {seen.error:.2f} points; always fooled by one and never by "
                f"the other: {len(seen.only_ours)} by robench, {len(seen.only_theirs)} by "
                f"torchattacks",
                flush=True,
            )
    if arguments.json is not None:
        write_json(arguments.json, found)


if __name__ == "__main__":
    main()
