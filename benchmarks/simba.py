"""Time SimBA against a plain, lock-step implementation of the algorithm of Guo et al.

Both use the same order of pixels for each image and the same float32 network. The plain version
keeps the whole batch until all steps are done or all images are fooled: one forward of the batch
for -step and one for +step, at every pixel. Different kernels round differently, and a direction
that changes almost nothing may then be kept or not; so ours is also run once with the kernels of
the plain version, where every image must be the same.

    python benchmarks/simba.py --checkpoint CELL --data image_folder:DIR
    python benchmarks/simba.py --quick
"""

import torch
from common import Target, paired, report, target, target_options
from torch import Tensor

from robench.attack_tools.losses import right
from robench.attack_tools.randomness import generators, permutations
from robench.attacks import SimBA
from robench.evaluation.run_attacks import predict_all
from robench.evaluation.victim import Victim
from robench.models.frozen import under_attack

STEP = 0.2


@torch.no_grad()
def plain(case: Target, max_steps: int) -> tuple[Tensor, Tensor]:
    """Return the final images and the number of queries per image."""
    x, labels, shape = case.images.flatten(1).clone(), case.labels, case.images.shape
    count = torch.arange(len(x))
    orders = permutations(generators(0, range(len(x))), x.shape[1])[:, :max_steps].to(x.device)

    def ask(flat: Tensor) -> tuple[Tensor, Tensor]:
        logits = case.model(flat.view(shape))
        # log(1 - p) - log(p) orders like the probability, even if that rounds to 1
        others = logits.scatter(1, labels[:, None], -torch.inf).logsumexp(1)
        return others - logits[count, labels], logits.argmax(1) != labels

    best, fooled = ask(x)
    queries = torch.zeros(len(x), dtype=torch.int64)
    for i in range(orders.shape[1]):
        if fooled.all():
            break
        active, kept = ~fooled, torch.zeros_like(fooled)
        for sign in (-1, 1):
            tried = x.clone()
            tried[count, orders[:, i]] = (x[count, orders[:, i]] + sign * STEP).clamp(0, 1)
            score, wrong = ask(tried)
            asked = active & ~kept
            queries += asked.cpu()
            better = asked & (score > best) & (tried != x).any(1)
            x = torch.where(better[:, None], tried, x)
            best = torch.where(better, score, best)
            fooled = fooled | (better & wrong)
            kept |= better
    return x.view(shape), queries


def main() -> None:
    parser = target_options(
        str(__doc__).split("\n", 1)[0], samples=256, rounds=3, steps=3072, batch=256
    )
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.samples, arguments.steps, arguments.rounds = 128, 784, 1
    case = target(arguments, arguments.samples)
    with under_attack(case.model):
        victim = Victim(case.model, case.images[:16], batch_size=arguments.batch)
        wrong = ~right(predict_all(victim, case.images), case.labels.cpu())
        print(f"{case.title}, {int(wrong.sum())} of them clean mistakes; step {STEP}, "
              f"at most {arguments.steps} pixels")  # fmt: skip

        def ours(model: Victim) -> tuple[Tensor, Tensor]:
            rngs = generators(0, range(len(case.images)))
            attack = SimBA(step=STEP, max_steps=arguments.steps)
            result = attack.perturb(model, case.images, case.labels, rngs)
            assert result.queries is not None
            return result.images, result.queries

        found: dict[str, tuple[Tensor, Tensor]] = {}
        times = paired(
            lambda: found.update(ours=ours(victim)),
            lambda: found.update(plain=plain(case, arguments.steps)),
            arguments.rounds,
        )
        same_kernels = Victim(
            case.model, case.images[:16], batch_size=arguments.batch,
            without=("channels_last", "folding"),
        )  # fmt: skip
        found["ours, kernels of plain"] = ours(same_kernels)
        for name, (images, queries) in found.items():
            fooled = ~right(predict_all(victim, images), case.labels.cpu())
            attacked, won = queries[~wrong].float(), (fooled & ~wrong).sum().item()
            same = (queries == found["plain"][1]) & (images == found["plain"][0]).flatten(1).all(1)
            print(f"{name:22} success {won}/{int((~wrong).sum())}, mean queries "
                  f"{attacked.mean():.2f}, queries and image of plain "
                  f"{int(same[~wrong].sum())}/{int((~wrong).sum())}")  # fmt: skip
    report({"simba/plain": times}, arguments.json)


if __name__ == "__main__":
    main()
