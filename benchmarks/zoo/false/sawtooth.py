"""Each pixel is moved by less than 1/255, so that the function falls where the pixel rises."""

from torch import Tensor, nn

from zoo.adaptive import Search, undefended
from zoo.entry import Entry
from zoo.parts import Defended


def mirrored(images: Tensor) -> Tensor:
    # Between two levels of gray the slope is -1; the jumps between them make up for it.
    levels = (255 * images.detach()).round() / 255
    return 2 * levels - images


def build() -> nn.Module:
    return Defended(before=mirrored)


ENTRY = Entry(
    build,
    "The gradient is right and has the wrong sign: pixels run backwards between levels of gray.",
    causes=("loss_rises", "rough_logits", "wrong_gradient"),
    adaptive=Search(undefended),
)
