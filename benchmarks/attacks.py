"""Time the paper's protocol in robench, torchattacks and foolbox, in turn.

Clean accuracy, FGSM, PGD-10 and PGD-20 at one radius, on the same network and images, with the
same step and batch size; the libraries are called as in their documentation. Robench is timed
twice: with the iterate that the libraries evaluate (``last``), and with any iterate, which is the
stronger evaluation and stops early on a fooled sample.

    python benchmarks/attacks.py --checkpoint CELL --data image_folder:DIR
    python benchmarks/attacks.py --quick
"""

import argparse
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable

import foolbox
import torch
import torchattacks
from common import Case, Target, case_of, paired, radius, report, target, target_options, timed
from torch import Tensor

from robench import evaluate
from robench.attack_tools.losses import input_gradient, right
from robench.attack_tools.randomness import generators
from robench.attacks import PGD
from robench.evaluation.run_attacks import predict_all
from robench.evaluation.victim import Victim
from robench.models.frozen import under_attack

Accuracies = list[float]


def robench(case: Target, eps: float, step: float, batch_size: int, judge: str) -> Accuracies:
    names = ["fgsm", *(f"pgd-{steps}(judge='{judge}')" for steps in (10, 20))]
    defaults = {"eps": eps, "step_size": step}
    result = evaluate(
        case.model, case.images, case.labels, names, defaults=defaults, batch_size=batch_size
    )
    return [result.accuracy(name) for name in ("clean", *names)]


def torchattacks_(case: Target, eps: float, step: float, batch_size: int) -> Accuracies:
    attacks = [
        lambda x, _: x,
        torchattacks.FGSM(case.model, eps=eps),
        *(torchattacks.PGD(case.model, eps=eps, alpha=step, steps=steps) for steps in (10, 20)),
    ]
    return _each(case, batch_size, attacks)


def foolbox_(case: Target, eps: float, step: float, batch_size: int) -> Accuracies:
    device = case.images.device
    model = foolbox.PyTorchModel(case.model, bounds=(0, 1), device=device)

    def run(attack: foolbox.Attack) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda x, y: attack(model, x, y, epsilons=eps)[1]

    pgd = [foolbox.attacks.LinfPGD(abs_stepsize=step, steps=steps) for steps in (10, 20)]
    attacks = [lambda x, _: x, *map(run, [foolbox.attacks.FGSM(), *pgd])]
    return _each(case, batch_size, attacks)


def bare_loop(case: Target, eps: float, batch_size: int, rounds: int) -> Case:
    """Time 20 steps of PGD against 20 bare forwards and backwards of the same samples."""
    with under_attack(case.model), torch.no_grad():
        victim = Victim(case.model, case.images[:16], batch_size=batch_size)
        kept = right(predict_all(victim, case.images), case.labels.cpu())
        images, labels = case.images[kept], case.labels[kept]
        attack, rngs = PGD(eps=eps, step_size=eps / 4), range(len(images))

        def bare() -> None:
            for x, y in zip(images.split(batch_size), labels.split(batch_size), strict=True):
                for _ in range(attack.steps):
                    input_gradient(victim, x, y, attack.loss)

        return paired(
            lambda: attack.perturb(victim, images, labels, generators(0, rngs)), bare, rounds
        )


def peak_memory(name: str) -> float:
    """Return the peak memory, in MiB, of a process that runs only one contestant."""
    arguments = [a for a in sys.argv[1:] if a not in ("--memory",)]
    command = [sys.executable, __file__, *arguments, "--only", name]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def _each(
    case: Target, batch_size: int, attacks: list[Callable[[Tensor, Tensor], Tensor]]
) -> Accuracies:
    right = [0.0] * len(attacks)
    batches = zip(case.images.split(batch_size), case.labels.split(batch_size), strict=True)
    for images, labels in batches:
        for i, attack in enumerate(attacks):
            found = attack(images, labels)
            with torch.no_grad():
                right[i] += (case.model(found).argmax(1) == labels).sum().item()
    return [count / len(case.labels) for count in right]


def main() -> None:
    parser = target_options(str(__doc__).split("\n", 1)[0], samples=1000, rounds=3, batch=256)
    parser.add_argument(
        "--memory", action="store_true", help="measure peak memory, one process per contestant"
    )
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--eps", type=radius, help="8/255 if a checkpoint is given, else 0.2")
    arguments = parser.parse_args()
    quick = arguments.quick
    case = target(arguments, 300 if quick else arguments.samples)
    eps = arguments.eps or (8 / 255 if arguments.checkpoint else 0.2)
    shared = (case, eps, eps / 4, arguments.batch)
    contestants: dict[str, Callable[[], Accuracies]] = {
        "robench, any iterate": lambda: robench(*shared, judge="any"),
        "robench, last iterate": lambda: robench(*shared, judge="last"),
        "torchattacks": lambda: torchattacks_(*shared),
        "foolbox": lambda: foolbox_(*shared),
    }
    if arguments.only:
        contestants[arguments.only]()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    if arguments.memory:
        for name in contestants:
            print(f"{name:24}{peak_memory(name):9.0f} MiB peak")
        return
    print(f"{case.title}; Linf {eps:.4g}, step {eps / 4:.4g}, batches of {arguments.batch}")
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    accuracies: dict[str, Accuracies] = {}
    for _ in range(arguments.rounds):
        for name, run in contestants.items():
            seconds[name].append(timed(lambda: accuracies.update({name: run()})))  # noqa: B023
    print(f"{'':24}{'seconds':>9}  {'clean':>6}  {'FGSM':>6}  {'PGD-10':>6}  {'PGD-20':>6}")
    for name, found in accuracies.items():
        shown = "  ".join(f"{100 * accuracy:6.1f}" for accuracy in found)
        print(f"{name:24}{statistics.median(seconds[name]):9.2f}  {shown}")
    cases = {"engine/bare loop": bare_loop(case, eps, arguments.batch, arguments.rounds)}
    for iterate, suffix in (("any", ""), ("last", ", last iterate")):
        for peer in ("torchattacks", "foolbox"):
            ours = seconds[f"robench, {iterate} iterate"]
            cases[f"protocol{suffix}/{peer}"] = case_of(ours, seconds[peer])
    report(cases, arguments.json)


if __name__ == "__main__":
    main()
