"""Train small networks, alone or as one of several processes, for ``test_parallel.py``."""

import sys
from contextlib import suppress
from pathlib import Path

import torch
from support import stripes
from torch import distributed, nn

from robench.base import Defense
from robench.board.specs import TrainingSpec
from robench.data import Augmentation
from robench.errors import UserError
from robench.models.build import apply_defense
from robench.registry import defenses
from robench.system.processes import this_shard
from robench.training import partway
from robench.training.data import TrainingData
from robench.training.loop import fit
from robench.training.parallel import disconnect
from robench.training.resume import TrainingFiles

CASES: dict[str, tuple[str, dict[str, object]]] = {
    "batchnorm": ("batchnorm", {"method": "standard"}),
    "convnorm": ("convnorm", {"method": "standard"}),
    "penalty": ("ocnn", {"method": "standard"}),
    "one-cycle": ("batchnorm", {"method": "standard", "schedule": "one-cycle"}),
    "free": ("batchnorm", {}),
    "carried": ("batchnorm", {"carry_delta": True, "step_size": 0.01}),
}

UNEVEN = ("batchnorm", {"method": "n_fgsm", "replays": 1, "batch_size": 15})
"""Random starts, and batches that do not halve: the processes draw unequal numbers of them."""


class Killed(Exception):  # noqa: N818 - it stands for a kill
    pass


class Mortal(Defense):
    """Stops all processes at the same step."""

    def __init__(self, last: int) -> None:
        self.left = last

    def after_step(self, model: nn.Module) -> None:
        self.left -= 1
        if not self.left:
            raise Killed


def network(defense: str) -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU()]
    layers += [nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
    plain = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * 16, 2))
    return apply_defense(plain, defenses.build(defense))


def train(
    case: str,
    epochs: int = 3,
    files: TrainingFiles | None = None,
    defense: Defense | None = None,
) -> dict[str, object]:
    """Train one case; 75 images in batches of 16 leave a last one of 11, which does not halve."""
    name, changes = (CASES | {"uneven": UNEVEN})[case]
    recipe = TrainingSpec.model_validate(
        {"epochs": epochs, "batch_size": 16, "lr": 0.05, "replays": 2, "eps": 0.1,
         "step_size": 0.1, "milestones": (2,)} | changes
    )  # fmt: skip
    model = network(name)
    rows = fit(
        model, defense or defenses.build(name), recipe,
        TrainingData(stripes(75, 0), stripes(21, 1), Augmentation(crop_padding=1), seed=5),
        device=torch.device("cpu"), files=files,
    )  # fmt: skip
    return {
        "state": model.state_dict(),
        "kinds": [type(module).__name__ for module in model.modules()],
        "losses": [row.train_loss for row in rows],
        "train_accuracy": [row.train_accuracy for row in rows],
        "val_accuracy": [row.val_accuracy for row in rows],
    }


def main(out: Path) -> None:
    results: dict[str, object] = {case: train(case) for case in CASES}
    files = TrainingFiles(log=out / "training.csv", checkpoint=out / "checkpoint.pt")
    train("carried", epochs=1, files=files)
    results["resumed"] = train("carried", files=files)
    results["uneven"] = train("uneven")
    results["uneven resumed"] = killed_and_resumed(out)
    results["refusals"] = refusals(out)
    if this_shard().rank == 0:
        torch.save(results, out / "results.pt")
    distributed.barrier()
    disconnect()
    # Threads that serve the group while Python ends abort the process now and then.
    assert not (left := serving_threads()), left


def killed_and_resumed(out: Path) -> dict[str, object]:
    """Train the uneven case, stopped in the middle of its second epoch."""
    files = TrainingFiles(log=out / "uneven.csv", checkpoint=out / "uneven.pt")
    partway.PROBE, partway.SECONDS = 1, 0.0  # the state is written after every minibatch
    with suppress(Killed):
        train("uneven", files=files, defense=Mortal(8))
    return train("uneven", files=files)


def refusals(out: Path) -> list[list[str]]:
    """Return what each process says of a state that only rank 0 writes and only rank 1 misses."""
    unwritable = TrainingFiles(log=out / "folder", checkpoint=out / "state.pt")
    unwritable.log.mkdir(exist_ok=True)
    unseen = out / ("absent.pt" if this_shard().rank else "checkpoint.pt")
    said = []
    for files in (unwritable, TrainingFiles(log=out / "training.csv", checkpoint=unseen)):
        try:
            train("carried", epochs=1, files=files)
        except UserError as error:
            said.append(str(error))
    of_all: list[list[str]] = [[] for _ in range(this_shard().count)]
    distributed.all_gather_object(of_all, said)
    return of_all


def serving_threads() -> list[str]:
    """Return the names of the threads of this process with which torch serves a group."""
    names = [file.read_text().strip() for file in Path("/proc/self/task").glob("*/comm")]
    return [name for name in names if "gloo" in name]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
