"""What applying a defense preserves: modes, sharing, skipped names; and what it refuses."""

import pytest
import torch
from torch import nn

from robench import apply_defense
from robench.defenses import ConvNorm2d
from robench.errors import UserError

DEFENSES = ["vanilla", "batchnorm", "spectral_norm", "convnorm", "convnorm(bn=False)"]


def pair() -> nn.Module:
    """One convolution under two names."""
    conv = nn.Conv2d(3, 3, 3, padding=1)
    return nn.ModuleDict({"first": conv, "second": conv, "other": nn.Conv2d(3, 3, 1)})


@pytest.mark.parametrize("defense", DEFENSES)
@pytest.mark.parametrize("with_norm", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_what_is_put_in_is_in_the_mode_of_what_was_there(
    defense: str, with_norm: bool, training: bool
) -> None:
    norms = [nn.BatchNorm2d(4)] if with_norm else []
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), *norms).train(training)
    model = apply_defense(plain, defense)
    assert {module.training for module in model.modules()} == {training}


@pytest.mark.parametrize("name", ["first", "second"])
def test_a_module_with_two_names_is_skipped_by_either(name: str) -> None:
    model = apply_defense(pair(), "convnorm(bn=False)", skip=[name])
    assert isinstance(model, nn.ModuleDict)
    assert model["first"] is model["second"]
    assert type(model["first"]) is nn.Conv2d
    assert isinstance(model["other"], ConvNorm2d)


def test_a_weight_of_two_layers_stays_one_weight() -> None:
    a, b = nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3, stride=2)
    b.weight = a.weight
    model = apply_defense(nn.Sequential(a, b), "convnorm(bn=False)")
    assert model[0].weight is model[1].weight  # type: ignore[index]
    assert model[0].weight is not a.weight  # type: ignore[index]


@pytest.mark.parametrize("defense", ["spectral_norm", "convnorm"])
def test_a_second_defense_on_top_is_refused_in_one_line(defense: str) -> None:
    once = apply_defense(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), defense)
    with pytest.raises(UserError, match=r"^layer '0', .*skip=\['0'\]\.$") as caught:
        apply_defense(once, defense)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("hook", [nn.utils.weight_norm, nn.utils.spectral_norm])
def test_a_weight_made_by_torch_s_older_hooks_is_refused(hook: object) -> None:
    assert callable(hook)
    model = nn.Sequential(hook(nn.Conv2d(3, 3, 3)))
    with pytest.raises(UserError, match=r"layer '0', .*computed by a hook.*remove the hook"):
        apply_defense(model, "convnorm")


def test_one_pattern_to_skip_may_be_text() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3))
    defended = apply_defense(model, "convnorm", skip="0*")
    assert type(defended[0]) is nn.Conv2d  # type: ignore[index]
    assert type(defended[2]) is not nn.Conv2d  # type: ignore[index]
    with pytest.raises(UserError, match="skip: 'conv1' matches no layer"):
        apply_defense(model, "convnorm", skip="conv1")


def test_skipping_every_convolution_is_refused_with_the_pattern() -> None:
    with pytest.raises(UserError, match=r"no nn\.Conv2d outside skip=\['\*'\]"):
        apply_defense(nn.Sequential(nn.Conv2d(3, 4, 3)), "convnorm", skip=["*"])


def test_a_refusal_comes_before_anything_is_changed_or_drawn() -> None:
    class OwnConv(nn.Conv2d):
        """A user-defined convolution."""

    model = nn.Sequential(nn.Conv2d(3, 4, 3), OwnConv(4, 4, 3))
    state = torch.get_rng_state()
    with pytest.raises(UserError, match="layer '1', OwnConv"):
        apply_defense(model, "convnorm")
    assert type(model[0]) is nn.Conv2d
    assert torch.equal(torch.get_rng_state(), state)
