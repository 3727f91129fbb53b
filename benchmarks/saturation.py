"""Show how SimBA by probability goes blind: one network, its logits multiplied by several factors.

The predictions are the same for each factor, and so is what an attack could find. But the more
confident the network, the more images have a true-class probability that is exactly 1 in float32,
and there no direction lowers it. An image at which nothing is ever accepted costs two queries for
each direction: 6,144 for one of CIFAR-10.

    python benchmarks/saturation.py --checkpoint CELL --data image_folder:DIR
    python benchmarks/saturation.py --model my_nets.py:build --data image_folder:DIR
    python benchmarks/saturation.py --quick
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import torch
from common import EXACT, Target, machine, target, target_options
from torch import Tensor, nn

from robench import evaluate
from robench.system.files import write_json


@dataclass(frozen=True)
class Line:
    """The result of one attack on one scaled network; shares are of the attacked images.

    Attributes:
        factor: what the logits are multiplied by.
        score: what SimBA climbs.
        saturated: the share of images whose true-class probability is 1 in float32.
        success: the share of images that are fooled.
        queries: the mean number of queries, failures included.
        queries_of_successes: the same of the fooled images; nan if there are none.
        untouched: the share of images that cost two queries for each direction, so that no first
            step was ever accepted.
    """

    factor: float
    score: str
    saturated: float
    success: float
    queries: float
    queries_of_successes: float
    untouched: float


class Scaled(nn.Module):
    """A network whose logits are multiplied by a factor."""

    def __init__(self, model: nn.Module, factor: float) -> None:
        super().__init__()
        self.model, self.factor = model, factor

    def forward(self, images: Tensor) -> Tensor:
        """Return the scaled logits, (B, classes)."""
        logits: Tensor = self.model(images) * self.factor
        return logits


def measure(
    case: Target, factor: float, score: Literal["probability", "log-odds"], step: float
) -> Line:
    """Attack the scaled network with SimBA, without any shortcut of the engine."""
    model = Scaled(case.model, factor).eval()
    name = f"simba(step={step}, score='{score}')"
    found = evaluate(model, case.images, case.labels, [name], seed=0, without=EXACT)
    outcomes = found.attacks[name]
    attacked, fooled = outcomes.correct, outcomes.fooled & outcomes.correct
    queries = torch.from_numpy(outcomes.queries).double()
    tried = case.images[0].numel()
    with torch.no_grad():
        sure = torch.cat([model(x).float().softmax(1).amax(1) == 1 for x in case.images.split(256)])
    return Line(
        factor=factor,
        score=score,
        saturated=float(sure.cpu().numpy()[attacked].mean()),
        success=float(fooled.sum() / attacked.sum()),
        queries=float(queries[attacked].mean()),
        queries_of_successes=float(queries[fooled].mean()),
        untouched=float((outcomes.queries == 2 * tried)[attacked].mean()),
    )


def lines(case: Target, factors: list[float], step: float) -> Iterator[Line]:
    """Yield a line for each factor and score."""
    for factor in factors:
        for score in ("probability", "log-odds"):
            yield measure(case, factor, score, step)


def main() -> None:
    parser = target_options(str(__doc__).split("\n", 1)[0], samples=100)
    parser.add_argument("--factors", default="1,2,4,8,16", help="separated by commas")
    parser.add_argument("--step", type=float, default=0.2, help="the length of one step")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.samples, arguments.factors = 40, "1,8"
    case = target(arguments, arguments.samples)
    print(f"{case.title}; SimBA with steps of {arguments.step}\n{machine()}")
    print(f"{'factor':>6}  {'score':11}  {'saturated':>9}  {'success':>7}  {'queries':>8}  "
          f"{'of successes':>12}  {'untouched':>9}")  # fmt: skip
    found = []
    for line in lines(case, [float(f) for f in arguments.factors.split(",")], arguments.step):
        found.append(asdict(line))
        print(f"{line.factor:6g}  {line.score:11}  {line.saturated:9.1%}  {line.success:7.1%}  "
              f"{line.queries:8.1f}  {line.queries_of_successes:12.1f}  {line.untouched:9.1%}",
              flush=True)  # fmt: skip
    if arguments.json is not None:
        write_json(arguments.json, {"lines": found})


if __name__ == "__main__":
    main()
