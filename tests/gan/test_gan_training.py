"""The training of GANs: what is counted, repeated, resumed and found wrong."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm

from robench.base import Defense
from robench.errors import UserError
from robench.gan import training
from robench.gan.architectures import ARCHITECTURES
from robench.gan.batches import Batches, Draw, generator_of
from robench.gan.cell import build_pair
from robench.gan.defended import defended, defends_head, written_out
from robench.gan.spec import GanCell
from robench.gan.state import GanFiles
from robench.gan.symptoms import LogRow
from robench.gan.training import DIVERGED_BY, GanDivergedError, GanTrainer, fit_gan
from robench.layers.convnorm import ConvNorm2d
from robench.registry import defenses, missing_package
from robench.training.averaging import Average

CPU = torch.device("cpu")


def changed(cell: GanCell, defense: str = "", **gan: Any) -> GanCell:
    values = cell.model_dump()
    values["gan"] |= gan
    return GanCell.model_validate(values | {"defense": defense or cell.defense})


def fitted(
    cell: GanCell, images: Tensor, files: GanFiles | None = None
) -> tuple[nn.Module, nn.Module, list[LogRow], Average | None]:
    generator, discriminator = build_pair(cell)
    batches = Batches(images, cell.gan.batch_size, cell.seed, CPU)
    defense = defenses.build(cell.defense)
    rows, average = fit_gan(generator, discriminator, defense, cell.gan, batches, files=files)
    return generator, discriminator, rows, average


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_the_same_seed_gives_the_same_weights(cell: GanCell, images: Tensor) -> None:
    first = fitted(cell, images)
    torch.manual_seed(99)  # torch's own random state is of no account
    again = fitted(cell, images)
    assert same(first[0], again[0])
    assert same(first[1], again[1])
    assert not same(first[0], fitted(cell.model_copy(update={"seed": 2}), images)[0])


def test_two_sittings_are_one(
    cell: GanCell, images: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fitted(cell, images)
    files = GanFiles(tmp_path / "log.csv", tmp_path / "state.pt", "mine")
    monkeypatch.setattr(training, "SECONDS", 0.0)
    step = GanTrainer.step

    def stopping(self: GanTrainer, number: int) -> None:
        if number == 3:  # between two rows of the log
            raise KeyboardInterrupt
        step(self, number)

    monkeypatch.setattr(GanTrainer, "step", stopping)
    with pytest.raises(KeyboardInterrupt):
        fitted(cell, images, files)
    monkeypatch.setattr(GanTrainer, "step", step)
    resumed = fitted(cell, images, files)
    assert same(whole[0], resumed[0])
    assert same(whole[1], resumed[1])
    assert whole[3] is not None
    assert resumed[3] is not None
    assert all(torch.equal(v, resumed[3].values[k]) for k, v in whole[3].values.items())
    for one, other in zip(whole[2], resumed[2], strict=True):
        assert {**vars(one), "seconds": 0} == {**vars(other), "seconds": 0}


def test_the_state_of_another_or_a_damaged_one_is_refused(
    cell: GanCell, images: Tensor, tmp_path: Path
) -> None:
    files = GanFiles(tmp_path / "log.csv", tmp_path / "state.pt", "mine")
    fitted(cell, images, files)
    with pytest.raises(UserError, match="the state of another training"):
        fitted(cell, images, GanFiles(files.log, files.checkpoint, "other"))
    files.checkpoint.write_bytes(files.checkpoint.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"damaged .* remove that file"):
        fitted(cell, images, files)


def test_each_training_forward_is_one_power_iteration(
    cell: GanCell, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator, discriminator = build_pair(cell)
    counts: dict[int, int] = {}
    iterate = _SpectralNorm._power_method

    def counted(self: _SpectralNorm, weight: Tensor, iterations: int) -> None:
        counts[id(self)] = counts.get(id(self), 0) + iterations
        iterate(self, weight, iterations)

    monkeypatch.setattr(_SpectralNorm, "_power_method", counted)
    batches = Batches(images, cell.gan.batch_size, cell.seed, CPU)
    fit_gan(generator, discriminator, defenses.build(cell.defense), cell.gan, batches)
    # 6 steps of 1 forward for the generator, and 2 updates of 2 forwards for the discriminator.
    assert set(counts.values()) == {6 * (1 + 2 * 2)}
    assert len(counts) == sum(isinstance(m, nn.Conv2d) for m in discriminator.modules())


def test_convnorm_counts_the_same_forwards(cell: GanCell, images: Tensor) -> None:
    _, discriminator, _, _ = fitted(changed(cell, "convnorm(bn=False)"), images)
    layers = [m for m in discriminator.modules() if isinstance(m, ConvNorm2d)]
    assert layers
    for layer in layers:
        assert int(layer.num_forwards) == layer.total_forwards == 30


class Recording(Defense):
    """A defense that notes what it is called with."""

    def __init__(self) -> None:
        object.__setattr__(self, "calls", [])

    def before_training(self, model: nn.Module, total_forwards: int) -> None:
        self.calls.append(f"before {total_forwards}")  # type: ignore[attr-defined]

    def penalty(self, model: nn.Module) -> Tensor:
        self.calls.append("penalty")  # type: ignore[attr-defined]
        return next(model.parameters()).square().sum()

    def after_step(self, model: nn.Module) -> None:
        self.calls.append("after")  # type: ignore[attr-defined]


def test_hooks_surround_each_update_of_the_discriminator(cell: GanCell, images: Tensor) -> None:
    generator, discriminator = build_pair(changed(cell, "vanilla"))
    defense = Recording()
    batches = Batches(images, cell.gan.batch_size, cell.seed, CPU)
    fit_gan(generator, discriminator, defense, cell.gan, batches)
    calls = defense.calls  # type: ignore[attr-defined]
    assert calls == ["before 30"] + ["penalty", "after"] * 12


def test_an_update_changes_its_own_network_only(cell: GanCell, images: Tensor) -> None:
    generator, discriminator = build_pair(changed(cell, "vanilla"))
    batches = Batches(images, cell.gan.batch_size, cell.seed, CPU)
    trainer = GanTrainer(generator, discriminator, defenses.build("vanilla"), cell.gan, batches)
    before = [p.clone() for p in discriminator.parameters()]
    trainer.update_generator(0)
    assert all(p.grad is None for p in discriminator.parameters())
    assert all(map(torch.equal, before, discriminator.parameters()))
    kept = [p.clone() for p in generator.parameters()]
    trainer.update_discriminator(0)
    assert all(map(torch.equal, kept, generator.parameters()))
    assert not all(map(torch.equal, before, discriminator.parameters()))


def test_a_loss_that_is_not_finite_is_named(cell: GanCell, images: Tensor) -> None:
    with pytest.raises(GanDivergedError, match="not finite by step"):
        fitted(changed(cell, "vanilla", lr=1e30), images)


def test_the_spectral_norm_of_each_layer_is_one(cell: GanCell, images: Tensor) -> None:
    _, discriminator, _, _ = fitted(
        changed(cell, steps=50, discriminator_steps=5, batch_size=2, generator_batch_size=2), images
    )
    layers = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d)]
    assert len(layers) == 8  # seven convolutions and the last layer
    for layer in layers:
        norm = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
        assert norm.item() == pytest.approx(1, abs=0.01)


class Drawing(Defense):
    """A defense that draws from torch's global generator, and may be interrupted."""

    def __init__(self, updates: int = 0) -> None:
        object.__setattr__(self, "left", updates)

    def before_training(self, model: nn.Module, total_forwards: int) -> None:
        with torch.no_grad():
            next(model.parameters()).add_(torch.randn(()))

    def penalty(self, model: nn.Module) -> Tensor:
        weight = next(model.parameters())
        return (weight * torch.randn_like(weight)).sum().square()

    def after_step(self, model: nn.Module) -> None:
        object.__setattr__(self, "left", self.left - 1)  # type: ignore[attr-defined]
        if not self.left:  # type: ignore[attr-defined]
            raise KeyboardInterrupt


def test_what_a_defense_draws_follows_from_seed_and_step_and_is_nobody_elses(
    cell: GanCell, images: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "SECONDS", 0.0)
    files = GanFiles(tmp_path / "log.csv", tmp_path / "state.pt", "mine")
    batches = Batches(images, cell.gan.batch_size, cell.seed, CPU)

    def drawn(defense: Defense, files: GanFiles | None) -> nn.Module:
        torch.rand(1)  # something else has drawn before
        before = torch.get_rng_state()
        generator, discriminator = build_pair(changed(cell, "vanilla"))
        try:
            fit_gan(generator, discriminator, defense, cell.gan, batches, files=files)
        finally:
            assert torch.equal(torch.get_rng_state(), before)
        return discriminator

    whole = drawn(Drawing(), None)
    with pytest.raises(KeyboardInterrupt):
        drawn(Drawing(updates=7), files)  # in the fourth step
    assert same(whole, drawn(Drawing(), files))


@pytest.mark.parametrize("name", [n for n in defenses if not missing_package(defenses.get(n))])
def test_every_defense_trains_a_discriminator_that_it_supports_and_draws_nothing(
    name: str, cell: GanCell, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = GanTrainer.step

    def drawing_nothing(self: GanTrainer, number: int) -> None:
        step(self, number)
        seeded = generator_of(cell.seed, Draw.SEED_OF_STEP, number).get_state()
        assert torch.equal(torch.get_rng_state(), seeded)

    monkeypatch.setattr(GanTrainer, "step", drawing_nothing)
    expression = written_out(name)
    defense = defenses.build(expression)
    for architecture in ARCHITECTURES:
        plain = ARCHITECTURES[architecture].discriminator(4)
        try:
            made = defended(plain, defense, head=defends_head(defense, plain))
            defense.penalty(made)
        except UserError as refusal:
            said = str(refusal)  # of ocnn_paper: its layers are those of ResNet-18
            assert "cannot replace it" in said or "matches no convolution" in said
            continue
        small = changed(
            cell, expression, architecture=architecture, width=4, steps=2, discriminator_steps=1
        )
        _, _, rows, _ = fitted(small, images)
        assert rows[-1].step == 2


def test_a_last_layer_that_cannot_be_replaced_is_refused(cell: GanCell) -> None:
    network = ARCHITECTURES["sngan_cnn"].discriminator(4)
    defense = defenses.build("spectral_norm(bn=false)")
    object.__setattr__(
        defense, "unsupported", lambda conv: "it is last" if conv.out_channels == 1 else None
    )
    with pytest.raises(UserError, match="it is last; set last_layer=plain"):
        defended(network, defense, head=True)


def test_the_sentence_of_a_divergence_names_its_step() -> None:
    assert DIVERGED_BY.count_in(DIVERGED_BY.with_count(120)) == 120
    assert DIVERGED_BY.count_in("a loss is not finite by step 0") is None
    assert DIVERGED_BY.count_in("the cat has eaten it") is None
