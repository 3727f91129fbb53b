"""What is known of the suite's data sets without reading them: classes, shape and size.

A published leaderboard is compared with its data set on machines that do not have the images.
"""

from dataclasses import dataclass

from robench.errors import UserError
from robench.expressions import parse_expression


@dataclass(frozen=True)
class DataFacts:
    """The form of a data set.

    Attributes:
        shape: channels, height and width of an image.
        classes: number of classes; None if it depends on the user's copy.
        train: number of training images before the validation part is split off; None if it
            depends on the user's copy.
    """

    shape: tuple[int, int, int]
    classes: int | None = None
    train: int | None = None


_GRAY, _COLOR = (1, 28, 28), (3, 32, 32)

_FACTS = {
    "cifar10": DataFacts(_COLOR, 10, 50_000),
    "cifar100": DataFacts(_COLOR, 100, 50_000),
    "digits": DataFacts((1, 8, 8), 10, 1_438),
    "fashion_mnist": DataFacts(_GRAY, 10, 60_000),
    "imagenet": DataFacts((3, 224, 224)),
    "kmnist": DataFacts(_GRAY, 10, 60_000),
    "mnist": DataFacts(_GRAY, 10, 60_000),
    "mnist5k": DataFacts(_GRAY, 10, 4_000),
    "svhn": DataFacts(_COLOR, 10, 73_257),
}

_EMNIST = {
    "byclass": DataFacts(_GRAY, 62, 697_932),
    "bymerge": DataFacts(_GRAY, 47, 697_932),
    "balanced": DataFacts(_GRAY, 47, 112_800),
    "letters": DataFacts(_GRAY, 26, 124_800),
    "digits": DataFacts(_GRAY, 10, 240_000),
    "mnist": DataFacts(_GRAY, 10, 60_000),
}


def facts_of(name: str) -> DataFacts | None:
    """Return what is known of a data set; None for one that does not come with robench.

    Args:
        name: its name in tables, with its options: ``emnist(split='letters')``.
    """
    try:
        call = parse_expression(name)
    except UserError:
        return None
    if call.name == "emnist":
        return _EMNIST.get(str(call.options.get("split", "balanced")))
    return _FACTS.get(call.name)
