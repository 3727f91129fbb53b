"""PGD: parity with two libraries, shared trajectories, restarts, saturated logits."""

from typing import Any

import eagerpy as ep
import foolbox
import pytest
import torch
import torchattacks
from torch import Tensor, nn

from robench.attack_tools.randomness import generators, in_ball
from robench.attack_tools.threat_models import norms
from robench.attack_tools.victims import BareModel
from robench.attacks import PGD
from robench.errors import UserError
from robench.registry import attacks

Digits = tuple[Tensor, Tensor]
EPS, STEP = 0.1, 0.03


def perturb(attack: PGD, model: nn.Module, digits: Digits, seed: int = 0) -> Tensor:
    images, labels = digits
    return attack.perturb(model, images, labels, generators(seed, range(len(images)))).images


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    return (model(images).argmax(1) == labels).float().mean().item()


def test_it_agrees_with_torchattacks(digits_net: nn.Module, digits_test: Digits) -> None:
    peer = torchattacks.PGD(digits_net, eps=EPS, alpha=STEP, steps=7, random_start=False)
    ours = PGD(eps=EPS, step_size=STEP, steps=7, random_start=False)
    torch.testing.assert_close(perturb(ours, digits_net, digits_test), peer(*digits_test))


def test_it_agrees_with_foolbox(digits_net: nn.Module, digits_test: Digits) -> None:
    wrapped = foolbox.PyTorchModel(digits_net, bounds=(0, 1), device="cpu")
    peer = foolbox.attacks.LinfPGD(abs_stepsize=STEP, steps=7, random_start=False)
    theirs, _, _ = peer(wrapped, *digits_test, epsilons=EPS)
    ours = PGD(eps=EPS, step_size=STEP, steps=7, random_start=False)
    torch.testing.assert_close(perturb(ours, digits_net, digits_test), theirs)


def test_in_l2_it_agrees_with_foolbox(digits_net: nn.Module, digits_test: Digits) -> None:
    wrapped = foolbox.PyTorchModel(digits_net, bounds=(0, 1), device="cpu")
    peer = foolbox.attacks.L2PGD(abs_stepsize=0.1, steps=5, random_start=False)
    theirs, _, _ = peer(wrapped, *digits_test, epsilons=0.4)
    ours = PGD(norm="l2", eps=0.4, step_size=0.1, steps=5, random_start=False)
    torch.testing.assert_close(perturb(ours, digits_net, digits_test), theirs, rtol=1e-3, atol=1e-4)


def our_start(images: Tensor) -> Tensor:
    return in_ball(generators(0, range(len(images))), images.shape[1:], "linf", EPS)


def test_from_the_same_start_it_agrees_with_torchattacks(
    digits_net: nn.Module, digits_test: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = perturb(PGD(eps=EPS, step_size=STEP, steps=7), digits_net, digits_test)
    delta = our_start(digits_test[0])
    monkeypatch.setattr(torch.Tensor, "uniform_", lambda *_: delta)  # its only random number
    peer = torchattacks.PGD(digits_net, eps=EPS, alpha=STEP, steps=7, random_start=True)
    torch.testing.assert_close(ours, peer(*digits_test))


def test_from_the_same_start_it_agrees_with_foolbox(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    class FromOurStart(foolbox.attacks.LinfPGD):  # type: ignore[misc]
        def get_random_start(self, x0: Any, epsilon: float) -> Any:
            return x0 + ep.astensor(our_start(x0.raw))

    ours = perturb(PGD(eps=EPS, step_size=STEP, steps=7), digits_net, digits_test)
    wrapped = foolbox.PyTorchModel(digits_net, bounds=(0, 1), device="cpu")
    peer = FromOurStart(abs_stepsize=STEP, steps=7, random_start=True)
    theirs, _, _ = peer(wrapped, *digits_test, epsilons=EPS)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("random_start", [True, False])
def test_prefixes_of_one_trajectory_are_what_each_alone_gives(
    digits_net: nn.Module, digits_test: Digits, norm: str, random_start: bool
) -> None:
    images, labels = digits_test
    group = [
        PGD(norm=norm, eps=EPS, step_size=STEP, steps=s, random_start=random_start)  # type: ignore[arg-type]
        for s in (5, 2, 9)
    ]
    assert len({attack.shared_work() for attack in group}) == 1
    rngs = generators(0, range(len(images)))
    together = PGD.perturb_together(group, digits_net, images, labels, rngs)
    for attack, shared in zip(group, together, strict=True):
        assert torch.equal(shared.images, perturb(attack, digits_net, digits_test))
        assert set(shared.queries.tolist()) == {attack.steps}


def test_other_searches_are_not_shared() -> None:
    keys = {
        attack.shared_work()
        for attack in (PGD(), PGD(eps=0.1), PGD(random_start=False), PGD(norm="l2", eps=0.5),
                       PGD(loss="margin"), PGD(restarts=2), PGD(restarts=2, steps=5))
    }  # fmt: skip
    assert len(keys) == 7
    assert PGD(samples=10).shared_work() == PGD(steps=3).shared_work()


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.1), ("l2", 0.5)])
def test_iterates_stay_in_the_ball_and_in_0_1(
    digits_net: nn.Module, digits_test: Digits, norm: str, eps: float
) -> None:
    attack = PGD(norm=norm, eps=eps, step_size=eps, steps=4)  # type: ignore[arg-type]
    images = perturb(attack, digits_net, digits_test)
    assert norms(images - digits_test[0], norm).max() <= eps + 1e-6  # type: ignore[arg-type]
    assert images.min() >= 0
    assert images.max() <= 1


def test_more_steps_and_restarts_make_it_stronger(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    weak, strong, restarted = (
        accuracy(digits_net, perturb(attack, digits_net, digits_test), digits_test[1])
        for attack in (
            PGD(eps=0.08, step_size=0.02, steps=1),
            PGD(eps=0.08, step_size=0.02, steps=10),
            PGD(eps=0.08, step_size=0.02, steps=10, restarts=4),
        )
    )
    assert strong < weak
    assert restarted <= strong


def test_restarts_charge_only_the_samples_that_are_searched_again(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    images, labels = digits_test
    rngs = generators(0, range(len(images)))
    once = PGD(eps=0.15, step_size=0.05, steps=5)
    thrice = PGD(eps=0.15, step_size=0.05, steps=5, restarts=3)
    fooled = digits_net(once.perturb(digits_net, images, labels, rngs).images).argmax(1) != labels
    result = thrice.perturb(digits_net, images, labels, generators(0, range(len(images))))
    assert (result.queries[fooled] == 6).all()  # five steps and a prediction
    assert (result.queries[~fooled] > 6).all()


def textbook(attack: PGD, model: nn.Module, image: Tensor, label: Tensor, index: int) -> Tensor:
    """PGD for one image (1, C, H, W) in the Linf ball, written plainly."""
    assert attack.step_size is not None
    (rng,) = generators(0, [index])
    x = image
    for _ in range(attack.restarts):
        x = (image + in_ball([rng], image.shape[1:], "linf", attack.eps)).clamp(0, 1)
        for _ in range(attack.steps):
            x = x.detach().requires_grad_()
            loss = nn.functional.cross_entropy(model(x), label)
            ascent = x + attack.step_size * torch.autograd.grad(loss, x)[0].sign()
            x = (image + (ascent - image).clamp(-attack.eps, attack.eps)).clamp(0, 1)
            if attack.judge == "any" and model(x).argmax() != label:
                return x.detach()
        if model(x).argmax() != label:
            break
    return x.detach()


@pytest.mark.parametrize("judge", ["last", "any"])
def test_with_restarts_it_agrees_image_by_image_with_the_search_written_plainly(
    digits_net: nn.Module, digits_test: Digits, judge: str
) -> None:
    attack = PGD(eps=EPS, step_size=STEP, steps=4, restarts=3, judge=judge)  # type: ignore[arg-type]
    images, labels = (part[:30] for part in digits_test)
    found = perturb(attack, digits_net, (images, labels))
    expected = torch.cat([
        textbook(attack, digits_net, images[i:i + 1], labels[i:i + 1], i) for i in range(30)
    ])  # fmt: skip
    robust = digits_net(expected).argmax(1) == labels
    assert 0 < robust.sum() < 30
    # Rounding of a convolution may depend on the batch; a sign at a tie may flip with it.
    assert ((found - expected).abs() > 1e-6).float().mean() < 0.002


def test_a_result_depends_neither_on_the_batch_nor_on_the_order(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    images, labels = (part[:12] for part in digits_test)
    attack = PGD(eps=EPS, step_size=STEP, steps=5)
    whole = perturb(attack, digits_net, (images, labels))
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    rngs = generators(0, order.tolist())
    shuffled = attack.perturb(digits_net, images[order], labels[order], rngs).images
    # Rounding of a convolution may depend on the batch; a sign at a tie may flip with it.
    changed = (shuffled - whole[order]).abs() > 1e-6
    assert changed.float().mean() < 0.002
    single = torch.cat([
        attack.perturb(digits_net, images[i:i + 1], labels[i:i + 1], generators(0, [i])).images
        for i in range(12)
    ])  # fmt: skip
    assert ((single - whole).abs() > 1e-6).float().mean() < 0.002


class Saturated(nn.Module):
    """Multiplies the logits, so that the cross-entropy's gradient underflows in float32."""

    def __init__(self, model: nn.Module, factor: float) -> None:
        super().__init__()
        self.model, self.factor = model, factor

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images) * self.factor


def test_saturated_logits_do_not_protect_from_ours_but_do_from_torchattacks(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    model = Saturated(digits_net, 1000.0).eval()
    images, labels = digits_test
    top = model(images).topk(2).values
    assert (top[:, 0] - top[:, 1] > 100).float().mean() > 0.9
    peer = torchattacks.PGD(model, eps=0.2, alpha=0.05, steps=10)
    theirs = accuracy(model, peer(images, labels), labels)
    ours = accuracy(
        model, perturb(PGD(eps=0.2, step_size=0.05, steps=10), model, digits_test), labels
    )
    plain = accuracy(
        digits_net,
        perturb(PGD(eps=0.2, step_size=0.05, steps=10), digits_net, digits_test),
        labels,
    )
    assert theirs > 0.6
    assert ours <= plain + 0.02
    assert ours < 0.2


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_it_runs_inside_contexts_without_gradients(
    digits_net: nn.Module, digits_test: Digits, context: type[torch.no_grad]
) -> None:
    attack = PGD(eps=EPS, step_size=STEP, steps=2)
    expected = perturb(attack, digits_net, digits_test)
    with context():
        assert torch.equal(perturb(attack, digits_net, digits_test), expected)


def test_int32_labels_and_channels_last_images_are_fine(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    images, labels = digits_test
    attack = PGD(eps=EPS, step_size=STEP, steps=2)
    rngs = generators(0, range(len(images)))
    strided = images.to(memory_format=torch.channels_last)
    result = attack.perturb(digits_net, strided, labels.int(), rngs).images
    torch.testing.assert_close(result, perturb(attack, digits_net, digits_test))


def test_no_gradient_is_left_on_the_model(digits_net: nn.Module, digits_test: Digits) -> None:
    for parameter in digits_net.parameters():
        parameter.grad = None
    perturb(PGD(eps=EPS, step_size=STEP, steps=2), digits_net, digits_test)
    assert all(parameter.grad is None for parameter in digits_net.parameters())


def test_evaluating_any_iterate_is_at_least_as_strong_and_costs_less(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    images, labels = digits_test
    last, any_ = (
        PGD(eps=0.15, step_size=0.05, steps=8, judge=judge).perturb(  # type: ignore[arg-type]
            digits_net, images, labels, generators(0, range(len(images)))
        )
        for judge in ("last", "any")
    )
    fooled = [digits_net(result.images).argmax(1) != labels for result in (last, any_)]
    assert (fooled[1] | ~fooled[0]).all()
    assert any_.backwards is not None
    assert (any_.backwards[fooled[1]] <= 8).all()
    assert (any_.backwards[~fooled[1]] == 8).all()
    assert any_.backwards.sum() < 0.7 * 8 * len(images)
    assert torch.equal(any_.images[~fooled[1]], last.images[~fooled[1]])


def test_any_iterate_means_that_it_stops_at_the_first_one_that_fools(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    images, labels = digits_test
    paths = [
        perturb(PGD(eps=0.15, step_size=0.05, steps=steps), digits_net, digits_test)
        for steps in range(1, 9)
    ]
    fooled = torch.stack([digits_net(x).argmax(1) != labels for x in paths])
    first = torch.where(fooled.any(0), fooled.long().argmax(0), 7)
    expected = torch.stack(paths)[first, torch.arange(len(images))]
    found = perturb(PGD(eps=0.15, step_size=0.05, steps=8, judge="any"), digits_net, digits_test)
    torch.testing.assert_close(found, expected)


def test_prefixes_are_what_each_alone_gives_when_any_iterate_is_evaluated(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    images, labels = digits_test
    group = [PGD(eps=0.12, step_size=STEP, steps=s, judge="any") for s in (3, 6, 9)]
    rngs = generators(0, range(len(images)))
    together = PGD.perturb_together(group, digits_net, images, labels, rngs)
    for attack, shared in zip(group, together, strict=True):
        alone = attack.perturb(digits_net, images, labels, generators(0, range(len(images))))
        assert torch.equal(shared.images, alone.images)
        assert shared.forwards is not None
        assert alone.forwards is not None
        assert torch.equal(shared.forwards, alone.forwards)


def test_a_sample_that_only_seems_fooled_goes_on(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    """The fast logits may be wrong; they do not decide the prediction."""

    class Misled(BareModel):
        def for_gradients(self, images: Tensor) -> Tensor:
            logits = digits_net(images)
            return logits - 100 * torch.eye(10)[digits_test[1][: len(images)]]

    images, labels = digits_test
    rngs = generators(0, range(len(images)))
    result = PGD(eps=0.1, step_size=0.02, steps=6, judge="any").perturb(
        Misled(digits_net), images, labels, rngs
    )
    assert result.backwards is not None
    robust = digits_net(result.images).argmax(1) == labels
    assert 0 < robust.sum() < len(images)
    assert (result.backwards[robust] > 6).all()  # called again after each false suspicion


def test_the_step_is_a_quarter_of_the_radius_unless_it_is_given() -> None:
    assert PGD().step_size == 2 / 255
    assert PGD(eps=0.4) == PGD(eps=0.4, step_size=0.1)
    assert PGD(norm="l2", eps=2.0).step_size == 0.5
    inherited = attacks.build("pgd-10", {"eps": 0.4})
    assert inherited == PGD(eps=0.4, step_size=0.1, steps=10)
    assert PGD(eps=0.4, step_size=0.01).step_size == 0.01


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("pgd(eps=8)", r"eps is 8 .* '8/255'"),
        ("pgd(step_size=2)", r"step_size is 2 .* '2/255'"),
        ("pgd(steps=0)", r"steps is 0: it must be 1 or more"),
        ("pgd(restarts=0)", r"restarts is 0"),
        ("pgd(restarts=2, random_start=False)", r"every search starts at the image"),
        ("pgd-10(step=1)", r"no option 'step'; did you mean 'steps' or 'step_size'"),
    ],
)
def test_options_out_of_range_are_reported_in_a_sentence(call: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        attacks.build(call)


def test_steps_of_no_length_are_refused_but_in_a_ball_of_no_size() -> None:
    with pytest.raises(UserError, match="step_size is 0, so that no step moves"):
        PGD(eps=0.1, step_size=0)
    assert PGD(eps=0, step_size=0).step_size == 0
