"""A network's answers depend on the image alone: not on earlier queries, nor on its batch."""

import threading
import warnings

import pytest
import torch
from faults import MakeContext, Wrapped, has_form
from torch import Tensor, nn

from robench.checks.entries.batch_dependence import BatchDependence
from robench.checks.entries.stateful import Stateful

pytestmark = pytest.mark.usefixtures("few_queries")


class Remembers(Wrapped):
    """Near-duplicates of an image keep the logits of the first of them."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__(net)
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, images: Tensor) -> Tensor:
        logits = self.net(images)
        return torch.stack([self.kept(*pair) for pair in zip(images, logits, strict=True)])

    def kept(self, image: Tensor, logits: Tensor) -> Tensor:
        for other, first in self.seen:
            if (image.detach() - other).abs().max() <= 0.2:
                return first + 0 * logits
        self.seen.append((image.detach().clone(), logits.detach().clone()))
        return logits


class Counts(Wrapped):
    """The noise on the images depends on the number of calls."""

    calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return self.net(images + 0.1 * torch.sin(torch.tensor(9.0 * self.calls)))


SEEN: list[tuple[Tensor, Tensor]] = []


class RemembersOutside(Remembers):
    """Its memory is a global, which its copies share."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__(net)
        SEEN.clear()
        del self.seen

    def kept(self, image: Tensor, logits: Tensor) -> Tensor:
        for other, first in SEEN:
            if (image.detach() - other).abs().max() <= 0.2:
                return first + 0 * logits
        SEEN.append((image.detach().clone(), logits.detach().clone()))
        return logits


class CountsInVain(Wrapped):
    """A count on which nothing depends."""

    calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return self.net(images)


class TurnsLate(Wrapped):
    """Another network after 300 calls."""

    calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return self.net(images if self.calls < 300 else 1 - images)


class Noisy(Wrapped):
    def forward(self, images: Tensor) -> Tensor:
        return self.net(images + 0.2 * torch.randn_like(images))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Remembers, "remembers what it was asked"),
        (RemembersOutside, "remembers what it was asked"),
        (Counts, "keeps a state"),
    ],
)
def test_a_network_with_a_memory_is_named_and_attacked_without_it(
    model: type[Wrapped], words: str, make_context: MakeContext, digits_net: nn.Module
) -> None:
    context = make_context(model(digits_net))
    finding = Stateful().run(context)
    assert finding.passed is False
    assert words in finding.sentence
    assert has_form(finding)
    assert finding.best_effort is not None
    if model is Remembers:
        assert finding.best_effort < 0.7


def test_a_state_that_shows_late_is_waited_for(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    assert Stateful().run(make_context(TurnsLate(digits_net))).passed is False


def test_a_state_that_changes_no_answer_is_no_pass(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    finding = Stateful().run(make_context(CountsInVain(digits_net)))
    assert finding.passed is None
    assert "each call changes 'calls'" in finding.sentence


def test_a_memory_shows_also_if_pairs_of_images_are_of_one_class(
    make_context: MakeContext, digits_net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    context = make_context(Remembers(digits_net), samples=20)
    context.images = torch.cat([context.images, context.images.flip(0)])[4:36]
    context.labels = torch.cat([context.labels, context.labels.flip(0)])[4:36]
    context.images, context.labels = context.images[8:24], context.labels[8:24]
    assert torch.equal(context.images, context.images.flip(0))
    assert Stateful().run(context).passed is False


def test_a_memory_shows_also_in_a_network_that_was_attacked_before(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    context = make_context(Remembers(digits_net), samples=20)
    context.run(context.standard())
    assert Stateful().run(context).passed is False


@pytest.mark.parametrize("model", [Wrapped, Noisy])
def test_a_network_without_memory_passes_also_if_it_is_random(
    model: type[Wrapped], make_context: MakeContext, digits_net: nn.Module
) -> None:
    finding = Stateful().run(make_context(model(digits_net)))
    assert finding.passed
    assert has_form(finding)


def test_a_scripted_network_is_copied_too(make_context: MakeContext, digits_net: nn.Module) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(digits_net)
    finding = Stateful().run(make_context(scripted))
    assert finding.passed, finding.sentence


def test_a_network_that_cannot_be_copied_says_so(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    model = Wrapped(digits_net)
    model.lock = threading.Lock()  # type: ignore[assignment]
    finding = Stateful().run(make_context(model))
    assert finding.passed is None
    assert has_form(finding)


class Centered(Wrapped):
    def forward(self, images: Tensor) -> Tensor:
        return self.net(images - 0.5 * images.mean(0, keepdim=True))


class Sorted(Wrapped):
    """The answer depends on the place in the batch, not on its size."""

    def forward(self, images: Tensor) -> Tensor:
        logits = self.net(images)
        return torch.cat([logits[:1], logits[1:].roll(1, 1)]) if len(images) > 9 else logits


@pytest.mark.parametrize("model", [Centered, Sorted])
def test_answers_that_depend_on_the_batch_are_named(
    model: type[Wrapped], make_context: MakeContext, digits_net: nn.Module
) -> None:
    finding = BatchDependence().run(make_context(model(digits_net)))
    assert finding.passed is False
    assert has_form(finding)
    assert finding.best_effort is not None


def test_answers_of_the_image_alone_pass(make_context: MakeContext, digits_net: nn.Module) -> None:
    finding = BatchDependence().run(make_context(digits_net))
    assert finding.passed
    assert has_form(finding)
    assert BatchDependence().run(make_context(Noisy(digits_net))).passed is None
