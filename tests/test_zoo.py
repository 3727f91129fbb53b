"""The zoo of models on which the checks are tried; what the checks say of it is not tested here."""

import re
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

import robench
from robench import UserError
from robench.registry import checks as registry

BENCHMARKS = Path(robench.__file__).resolve().parents[1] / "benchmarks"
sys.path.append(str(BENCHMARKS))

import checks as benchmark  # noqa: E402
from zoo.discovery import HALVES, Model, discover  # noqa: E402
from zoo.measure import Measured, Setting, measure, recipe_hash  # noqa: E402
from zoo.summary import BEGIN, END, counts, markdown, rewrite  # noqa: E402
from zoo.trained import digits, kept  # noqa: E402

MODELS = discover()
FINDINGS = {name for entry in registry.entries() for name in entry.build.findings}

ROUNDED = '''
"""The nearest of ten average digits, for pixels that are rounded."""

from torch import Tensor, nn

from robench.attack_tools.losses import input_gradient
from zoo.entry import Entry
from zoo.honest.prototypes import Prototypes


class Rounded(Prototypes):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward((8 * images).round() / 8)


def adaptive(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    gradient, _ = input_gradient(Prototypes(), images, labels, "margin")
    return model((images + 0.1 * gradient.sign()).clamp(0, 1)).argmax(1) == labels


ENTRY = Entry(Rounded, "Rounding has a gradient of zero.", ("zero_gradients",), adaptive)
'''


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_a_model_says_what_it_is(model: Model) -> None:
    entry = model.entry
    assert callable(entry.build)
    assert entry.why.endswith(".")
    assert entry.why[0].isupper()
    assert set(entry.causes) <= FINDINGS, "a cause is the name of a finding of a check"
    if model.file.parent.name in ("false", "honest"):
        assert model.honest == (model.file.parent.name == "honest")


def test_there_are_enough_honest_models_in_both_halves() -> None:
    honest = [model for model in MODELS if model.honest]
    own = [model for model in honest if not model.name.startswith("defense_")]
    assert len(own) >= 20
    for half in HALVES:
        assert sum(model.half == half for model in honest) >= len(honest) / 4


def test_every_defense_is_among_the_honest_models() -> None:
    names = {model.name for model in MODELS}
    assert {f"defense_{entry.name}" for entry in robench.registry.defenses.entries()} <= names


def test_a_network_is_trained_once_for_each_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROBENCH_ZOO", str(tmp_path))
    trainings = []

    def fit(network: nn.Module, value: float) -> nn.Module:
        trainings.append(value)
        nn.init.constant_(network.get_parameter("bias"), value)
        return network.train()

    make = partial(nn.Linear, 2, 3)
    first, again = kept("one", make, fit, value=2.0), kept("one", make, fit, value=2.0)
    assert trainings == [2.0]
    assert not again.training
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
    kept("one", make, fit, value=3.0)
    (tmp_path / "one.safetensors").write_bytes(b"damaged")
    kept("one", make, fit, value=3.0)
    assert trainings == [2.0, 3.0, 3.0]


def test_some_digits_are_labeled_by_their_place() -> None:
    test = digits((4, 9)).test
    assert isinstance(test, robench.Images)
    assert test.labels.unique().tolist() == [0, 1]
    assert digits((4, 9)).num_classes == 2


def test_an_honest_and_a_false_model_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rounded.py").write_text(ROUNDED)
    monkeypatch.setattr("zoo.measure.LONG", LONGER)
    (false,) = discover(tmp_path)
    honest = next(model for model in MODELS if model.name == "prototypes")
    setting = Setting(images=20, alone=True)
    row, other = measure(false, setting), measure(honest, setting)
    assert row.outcome == "hit"
    assert row.named
    assert row.pgd > row.truth + 0.1
    assert row.check_seconds > 0
    assert row.pgd_seconds > 0
    assert other.outcome == "no flag"
    assert other.pgd == pytest.approx(other.truth, abs=0.1)
    assert other.clean == row.clean > 0.5


LONGER = (robench.attacks.pgd.PGD(eps=0.1, step_size=0.02, steps=20, loss="margin"),)
"""Enough for the prototypes, and quick."""


def test_what_was_measured_is_read_again_unless_code_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROBENCH_ZOO", str(tmp_path))
    monkeypatch.setattr(benchmark, "measure", lambda model, setting: ROW)
    model, setting = MODELS[-1], Setting()
    assert benchmark.read(model, setting) is None
    (row,) = benchmark.kept(model.name, BENCHMARKS / "zoo", setting)
    assert row == ROW
    assert benchmark.read(model, setting) == ROW
    assert benchmark.read(model, replace(setting, images=10)) is None
    assert recipe_hash(model, setting) != recipe_hash(MODELS[0], setting)


ROW = Measured(
    name="a", half="tuning", honest=False, causes=["zero_gradients"], images=200, clean=0.9,
    pgd=0.8, truth=0.1, flags={"zero_gradients": "None."}, best_effort=0.2, check_seconds=1,
    pgd_seconds=2,
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({}, "hit"),
        ({"flags": {}}, "miss"),
        ({"flags": {}, "truth": 0.71}, "not fooled"),
        ({"flags": {}, "truth": 0.7}, "miss"),
        ({"honest": True, "truth": 0.71}, "false alarm"),
        ({"honest": True, "truth": 0.71, "flags": {}}, "no flag"),
        ({"honest": True}, "hit"),  # PGD-20 is fooled, though nothing is hidden
        ({"honest": True, "flags": {}}, "miss"),
    ],
)
def test_a_model_counts_as_one_thing(change: dict[str, object], outcome: str) -> None:
    assert replace(ROW, **change).outcome == outcome  # type: ignore[arg-type]


def test_the_counts_are_of_each_half_and_have_intervals() -> None:
    rows = [*[ROW] * 18, replace(ROW, flags={}), replace(ROW, honest=True, causes=[])]
    found = {title: halves for title, *halves in counts(rows)}
    assert found["hits"] == ["19 of 20 (75 to 100%)", "0 of 0"]
    assert found["misses"] == ["1 of 20 (0 to 25%)", "0 of 0"]
    assert found["misses among those that hide"] == ["1 of 19 (0 to 26%)", "0 of 0"]
    assert found["flags that name what hides"] == ["18 of 18 (81 to 100%)", "0 of 0"]


def test_the_tables_replace_what_is_between_the_markers(tmp_path: Path) -> None:
    file = tmp_path / "checks.md"
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    rewrite(file, markdown([ROW]))
    text = file.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| a | tuning | 90 | 80 | 10 | 20 | hit | zero_gradients* |" in text
    file.write_text("nothing")
    with pytest.raises(UserError, match="has no place for the tables"):
        rewrite(file, "new")


def test_the_documentation_has_a_place_for_the_tables_and_a_section_for_each_flag() -> None:
    text = (BENCHMARKS.parent / "docs" / "checks.md").read_text()
    assert text.index(BEGIN) < text.index(END)
    for name in FINDINGS:
        assert f"`{name}`" in text, f"docs/checks.md does not explain the flag {name}"


def test_a_folder_without_models_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no model in"):
        discover(tmp_path)
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(UserError, match="has neither ENTRY nor ENTRIES"):
        discover(tmp_path)


FLAGGED = re.compile(r"^#### (?P<flags>.+)$(?P<text>(?:\n(?!#).*)*)", re.MULTILINE)


def test_the_examples_of_the_documentation_have_the_flag_that_they_are_examples_of() -> None:
    text = (Path(__file__).parents[1] / "docs" / "checks.md").read_text()
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    flags = {row[0].strip("| "): row[7] for row in rows if len(row) > 7}
    examples = [
        (name, found["flags"].strip("`"))
        for found in FLAGGED.finditer(text)
        for named in re.findall(r"\*Example\*:([^.]*)\.", found["text"])
        for name in re.findall(r"`(\w+)`", named)
    ]
    assert len(examples) > 20
    for name, flag in examples:
        assert flag in re.findall(r"\w+", flags[name]), f"{name} has no flag {flag}"
