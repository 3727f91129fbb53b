"""An interrupted evaluation goes on where it stood, with the same outcomes to the bit."""

import math
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn

from robench.attack_tools.batching import run_batched
from robench.attack_tools.kept_search import KeptSearch
from robench.attacks import PGD
from robench.base import Adversarial, Attack
from robench.checks.options import CheckOptions
from robench.errors import RobenchWarning, UserError
from robench.evaluation import Evaluation, Outcomes, evaluate, partial
from robench.evaluation.adversarial import adversarial_images
from robench.progress import Progress

Digits = tuple[Tensor, Tensor]

ATTACKS = {
    "pgd": ["pgd-2(eps=0.1)", "pgd-4(eps=0.1)"],
    "pgd with restarts": ["pgd-3(eps=0.1, restarts=3)"],
    "pgd to the first success": ["pgd-4(eps=0.1, restarts=2, judge='any')"],
    "pgd in L2": ["pgd-3(eps=1, norm='l2', samples=20)"],
    "fgsm": ["fgsm(eps=0.1)", "fgsm(eps=0.2)"],
    "simba": ["simba(max_steps=8)"],
    "simba with targets": ["simba(basis='dct', max_steps=8, targeted=true)"],
    "simba of the authors": ["simba(max_steps=8, mode='original')"],
    "apgd": ["apgd(eps=0.1, steps=6, restarts=2)"],
    "apgd with targets": ["apgd(eps=0.1, steps=4, loss='targeted', targets=2)"],
    "apgd with near targets": [
        "apgd(eps=0.1, steps=4, loss='targeted', targets=2, order='nearest')"
    ],
    "square": ["square(eps=0.1, queries=12, restarts=2)"],
    "fab": ["fab(eps=0.1, steps=3, restarts=2)"],
    "fab with targets": ["fab(eps=0.1, steps=3, targeted=true, targets=2, minimal=true)"],
    "autoattack": ["autoattack(eps=0.12, steps=3, queries=6)"],
    "square of torchattacks": ["torchattacks:Square(eps=0.1, n_queries=6)"],
    "foolbox": ["foolbox:LinfPGD(eps=0.1, steps=3)"],
    "several": ["noise(eps=0.1)", "pgd-2(eps=0.1)", "simba(max_steps=3, samples=9)", "fgsm"],
}


class KilledError(BaseException):
    """The evaluation was interrupted."""


def _in_counts(name: str) -> Any:
    """Return the property of a module that stands for an attribute of its ``counts``."""
    return property(
        lambda module: getattr(module.counts, name),
        lambda module, value: setattr(module.counts, name, value),
    )


class Counting(nn.Module):
    """A model that counts its forwards, can stop at one of them, and run out of memory.

    Attributes:
        images: how many images went forward.
        calls: how many batches did.
        stop: the call to stop at.
        largest: the largest batch that fits into memory; None: any.
        full: the first call for which ``largest`` holds.
    """

    images, calls = _in_counts("images"), _in_counts("calls")
    stop, full, largest = _in_counts("stop"), _in_counts("full"), _in_counts("largest")

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        # An evaluation puts attributes of a model back as they were, and tells models by them; but
        # not by these.
        never = math.inf
        self.counts = SimpleNamespace(images=0, calls=0, stop=never, full=never, largest=never)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.calls >= self.stop:
            raise KilledError
        if self.calls >= self.full and len(x) > self.largest:
            raise RuntimeError("out of memory")
        self.images += len(x)
        logits: Tensor = self.model(x)
        return logits


@pytest.fixture(autouse=True)
def _always_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(partial, "SHARE", math.inf)
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "done.npz"


@pytest.fixture
def model(digits_net: nn.Module) -> Counting:
    return Counting(digits_net).eval()


def attacked(
    model: nn.Module,
    digits: Digits,
    attacks: Sequence[str | Attack],
    count: int = 40,
    **options: Any,
) -> Evaluation:
    # Without copies, every forward is one of the model.
    options = {"batch_size": 16, "without": ("bf16", "folding"), **options}
    return evaluate(model, digits[0][:count], digits[1][:count], attacks, **options)


def same(one: Evaluation, other: Evaluation) -> bool:
    return list(one.attacks) == list(other.attacks) and all(
        np.array_equal(getattr(mine, field.name), getattr(theirs, field.name))
        for mine, theirs in zip(one.attacks.values(), other.attacks.values(), strict=True)
        for field in fields(Outcomes)
    )


def killed(model: Counting, call: int, run: Callable[[], object]) -> None:
    """Run, and stop at this call of the model."""
    model.calls = model.images = 0
    model.stop = call
    with pytest.raises(KilledError):
        run()
    model.stop = math.inf


def counted(model: Counting, run: Callable[[], Evaluation]) -> Evaluation:
    """Run, and count from 0."""
    model.calls = model.images = 0
    return run()


# --- the same outcomes -------------------------------------------------------------------------


@pytest.mark.parametrize("attacks", ATTACKS.values(), ids=list(ATTACKS))
def test_killed_anywhere_and_run_again_it_has_the_same_outcomes_to_the_bit(
    attacks: list[str], model: Counting, digits_test: Digits, file: Path
) -> None:
    whole = counted(model, lambda: attacked(model, digits_test, attacks))
    calls = model.calls
    for share in (0.5, 0.9):
        file.unlink(missing_ok=True)
        run = lambda: attacked(model, digits_test, attacks, resume=file)  # noqa: E731
        killed(model, int(share * calls), run)
        assert same(run(), whole)


class SquareRoot(Counting):
    """Its gradient is infinite where a pixel is 0."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.sqrt())


@pytest.mark.filterwarnings("ignore:the model is attacked without")
def test_a_network_whose_gradients_are_not_finite_goes_on_too(
    digits_net: nn.Module, digits_test: Digits, file: Path
) -> None:
    model = SquareRoot(digits_net).eval()
    whole = counted(model, lambda: attacked(model, digits_test, ["square(queries=20)"]))
    calls = model.calls
    run = lambda: attacked(model, digits_test, ["square(queries=20)"], resume=file)  # noqa: E731
    killed(model, int(0.9 * calls), run)
    assert same(counted(model, run), whole)
    assert model.calls < 0.6 * calls


@pytest.mark.parametrize("name", ["pgd with restarts", "simba", "autoattack"])
def test_killed_again_and_again_it_comes_to_an_end(
    name: str, model: Counting, digits_test: Digits, file: Path
) -> None:
    def run(**options: Any) -> Evaluation:
        return attacked(model, digits_test, ATTACKS[name], without=("pools", "folding"), **options)

    whole = counted(model, run)
    once, calls, sessions = max(40, model.calls // 4), model.calls, 0
    while True:
        sessions += 1
        model.calls, model.stop = 0, once if sessions < 20 else math.inf
        try:
            again = run(resume=file)
            break
        except KilledError:
            continue
    assert same(again, whole)
    assert calls / once <= sessions < 12


def test_batches_that_memory_was_too_small_for_stay_as_small(
    model: Counting, digits_test: Digits, file: Path
) -> None:
    attacks = ["pgd-4(eps=0.1)", "simba(max_steps=4)", "foolbox:LinfPGD(eps=0.1, steps=3)"]
    options: dict[str, Any] = {"batch_size": 32, "resume": file}
    model.largest, model.full = 16, 7  # in the second step of PGD
    with pytest.warns(RobenchWarning, match="out of memory with 32 images"):
        whole = counted(model, lambda: attacked(model, digits_test, attacks, batch_size=32))
    for call in (20, 60):
        file.unlink(missing_ok=True)
        model.full = 7 + 1  # the fingerprint's gradient is one
        with pytest.warns(RobenchWarning, match="out of memory with 32 images"):
            killed(model, call, lambda: attacked(model, digits_test, attacks, **options))
        model.full = math.inf
        assert same(attacked(model, digits_test, attacks, **options), whole)


# --- what is done is not done again ------------------------------------------------------------


@pytest.mark.parametrize("name", ["pgd with restarts", "simba", "simba of the authors"])
@pytest.mark.parametrize("without", [(), ("pools",)], ids=["pools", "no pools"])
def test_finished_steps_are_not_repeated(
    name: str, without: tuple[str, ...], model: Counting, digits_test: Digits, file: Path
) -> None:
    def run(attacks: Sequence[str] = ATTACKS[name], **options: Any) -> Evaluation:
        left_out = ("bf16", "folding", *without)
        return attacked(model, digits_test, attacks, without=left_out, **options)

    counted(model, lambda: run([], resume=file))
    beginning = model.images
    counted(model, run)
    images, calls = model.images, model.calls
    killed(model, calls // 2, lambda: run(resume=file))
    before = model.images
    counted(model, lambda: run(resume=file))
    assert before > 0.35 * images
    lost = 2 * 16  # what was interrupted: a step, and the prediction that decides on a restart
    assert before + model.images <= images + beginning + lost


@pytest.mark.parametrize("share", [0.1, 0.4, 0.7, 0.95])
def test_finished_parts_and_steps_of_autoattack_are_not_repeated(
    share: float, model: Counting, digits_test: Digits, file: Path
) -> None:
    attacks = ["autoattack(eps=0.05, steps=4, queries=40)"]

    def run(attacks: Sequence[str] = attacks, **options: Any) -> Evaluation:
        return attacked(model, digits_test, attacks, 32, **options)

    counted(model, lambda: run([], resume=file))
    beginning = model.images
    counted(model, run)
    images, calls = model.images, model.calls
    killed(model, int(share * calls), lambda: run(resume=file))
    before = model.images
    counted(model, lambda: run(resume=file))
    assert before > 0.7 * share * images
    # The step that was interrupted, the choice of targets, and the predictions on a part's images.
    assert before + model.images <= images + beginning + 32 + 2 * 32


def test_a_finished_evaluation_is_read(model: Counting, digits_test: Digits, file: Path) -> None:
    attacks = ATTACKS["several"]
    whole = attacked(model, digits_test, attacks, resume=file)
    counted(model, lambda: attacked(model, digits_test, [], resume=file))
    beginning = model.images
    assert same(counted(model, lambda: attacked(model, digits_test, attacks, resume=file)), whole)
    assert model.images - beginning in (0, 16)  # 16: the look that a warning takes


def test_a_short_evaluation_leaves_no_file(
    model: Counting, digits_test: Digits, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partial, "SAVE_SECONDS", 30.0)
    attacked(model, digits_test, ["fgsm"], resume=file)
    assert not file.parent.exists()


def test_an_interrupt_saves_at_once(
    model: Counting, digits_test: Digits, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partial, "SAVE_SECONDS", 30.0)
    attacks = ["pgd-4(eps=0.1)"]
    whole = counted(model, lambda: attacked(model, digits_test, attacks))
    with pytest.raises(KilledError):
        attacked(model, digits_test, ["fgsm", *attacks], resume=file, progress=_stop("pgd-4"))
    counted(model, lambda: attacked(model, digits_test, ["fgsm"], resume=file))
    assert model.images <= 4 * 48  # predictions and the fingerprint, no attack
    assert same(attacked(model, digits_test, attacks, resume=file), whole)


def _stop(name: str, done: int = 1) -> Callable[[Progress], None]:
    def progress(now: Progress) -> None:
        if now.task.startswith(name) and now.done >= done:
            raise KilledError

    return progress


# --- composites --------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Best:
    """The images found so far, and how many radii were tried."""

    images: Tensor
    tried: Tensor


@dataclass(frozen=True)
class Radii(Attack):
    """PGD at one radius after the other; the searches of PGD are kept, its own only if asked."""

    batches_itself: ClassVar[bool] = False
    keeps: bool = True
    eps: float = 0.15

    def perturb(
        self, model: Any, images: Tensor, labels: Tensor, rngs: Sequence[Generator]
    ) -> Adversarial:
        best = _Best(images.clone(), torch.zeros(len(images), dtype=torch.int64))
        search = KeptSearch(model, best) if self.keeps else None
        for number, eps in enumerate((0.05, 0.1, 0.15)):
            if best.tried[0] > number:
                continue
            found = PGD(eps=eps, steps=3).perturb(model, images, labels, rngs).images
            wrong = model.predict(found).argmax(1) != labels
            best.images[wrong] = found[wrong]
            best.tried.add_(1)
            if search:
                search.keep()
        return Adversarial(best.images)


@pytest.mark.parametrize("keeps", [True, False])
def test_an_attack_made_of_attacks_goes_on_in_the_one_in_which_it_stood(
    keeps: bool, model: Counting, digits_test: Digits, file: Path
) -> None:
    attacks = [Radii(keeps)]
    whole = counted(model, lambda: attacked(model, digits_test, attacks))
    calls = model.calls
    for call in range(12, calls, 9):
        file.unlink(missing_ok=True)
        killed(model, call, lambda: attacked(model, digits_test, attacks, resume=file))
        assert same(attacked(model, digits_test, attacks, resume=file), whole), call


@dataclass(frozen=True)
class Halves(Attack):
    """Keeps a state in half precision; of another attack's shape if the options say so."""

    batches_itself: ClassVar[bool] = True
    eps: float = 1.0

    def perturb(
        self, model: Any, images: Tensor, labels: Tensor, rngs: Sequence[Generator]
    ) -> Adversarial:
        state = _Best(images.bfloat16(), torch.zeros(len(images), dtype=torch.int64))
        none = torch.zeros(len(images), dtype=torch.int64)

        def advance(rows: Tensor) -> Tensor:
            model.predict(state.images[rows].float())
            state.images[rows] = state.images[rows] / 2
            state.tried[rows] += 1
            return state.tried[rows] == 4

        run_batched(model, torch.arange(len(images)), advance, KeptSearch(model, state))
        return Adversarial(state.images.float(), none + 4, none + 4, none)


def test_a_state_may_be_of_any_type(model: Counting, digits_test: Digits, file: Path) -> None:
    whole = counted(model, lambda: attacked(model, digits_test, [Halves()]))
    run = lambda: attacked(model, digits_test, [Halves()], resume=file)  # noqa: E731
    calls = model.calls
    killed(model, calls - 3, run)
    assert same(counted(model, run), whole)
    assert model.calls < calls - 4


# --- another evaluation ------------------------------------------------------------------------


def other_weights(model: Counting) -> None:
    with torch.no_grad():
        next(model.parameters())[0, 0, 0, 0] += 1e-3


def other_code(model: Counting) -> None:
    model.model = nn.Sequential(model.model, nn.Hardtanh(-1, 1))


class _Backwards(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return -gradients[0]


def other_gradient(model: Counting) -> None:
    model.model.register_forward_hook(lambda _, __, logits: _Backwards.apply(logits))


@pytest.mark.parametrize("change", [other_weights, other_code, other_gradient])
def test_an_edited_model_reuses_nothing(
    change: Callable[[Counting], None], model: Counting, digits_test: Digits, file: Path
) -> None:
    attacks = ["pgd-3(eps=0.1)"]
    attacked(model, digits_test, attacks, resume=file)
    change(model)
    whole = counted(model, lambda: attacked(model, digits_test, attacks))
    images = model.images
    with pytest.warns(RobenchWarning, match=r"is of another evaluation \(these differ: .*model"):
        again = counted(model, lambda: attacked(model, digits_test, attacks, resume=file))
    assert same(again, whole)
    assert model.images > images


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"seed": 1}, "seed"),
        ({"batch_size": 20}, "batch size"),
        ({"count": 30}, "images, labels"),
        ({"without": ("bf16", "folding", "pools")}, "shortcuts"),
    ],
)
def test_another_evaluation_reuses_nothing(
    changed: dict[str, Any], named: str, model: Counting, digits_test: Digits, file: Path
) -> None:
    attacks = ["pgd-3(eps=0.1)"]
    attacked(model, digits_test, attacks, resume=file)
    with pytest.warns(RobenchWarning, match=f"these differ: .*{named}"):
        again = attacked(model, digits_test, attacks, resume=file, **changed)
    assert same(again, attacked(model, digits_test, attacks, **changed))


def test_an_attack_with_other_options_or_another_source_is_another_attack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Counting, digits_test: Digits
) -> None:
    from robench.evaluation.fingerprint import key_of

    assert key_of([PGD(steps=3)]) == key_of([PGD(steps=3)])
    assert key_of([PGD(steps=3)]) != key_of([PGD(steps=4)])
    assert key_of([PGD(steps=3)]) != key_of([PGD(steps=3), PGD(steps=4)])
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "kept_plugin_helper.py").write_text("STEP = 1\n")
    text = "import kept_plugin_helper\nfrom robench.attacks import PGD\nclass Mine(PGD): pass\n"
    (tmp_path / "kept_plugin.py").write_text(text)
    import kept_plugin  # type: ignore[import-not-found]

    first = key_of([kept_plugin.Mine()])
    assert first == key_of([kept_plugin.Mine()])
    (tmp_path / "kept_plugin_helper.py").write_text("STEP = 2\n")
    assert first != key_of([kept_plugin.Mine()])
    (tmp_path / "base").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "base"))
    (tmp_path / "base" / "kept_base.py").write_text(text.replace("Mine", "Base"))
    (tmp_path / "kept_derived.py").write_text("from kept_base import Base\nclass It(Base): pass\n")
    import kept_derived  # type: ignore[import-not-found]

    derived = key_of([kept_derived.It()])
    (tmp_path / "base" / "kept_base.py").write_text("# changed")
    assert derived != key_of([kept_derived.It()])
    unknown = type("Unknown", (PGD,), {"__module__": "__nowhere__"})
    assert key_of([unknown()]) != key_of([unknown()])


def test_an_attack_that_holds_another_network_is_another_attack() -> None:
    from robench.evaluation.fingerprint import key_of

    def transfer(net: nn.Module) -> PGD:
        attack = PGD(steps=3)
        object.__setattr__(attack, "surrogate", net)
        return attack

    one, other = nn.Linear(2, 2), nn.Linear(2, 2)
    assert key_of([transfer(one)]) == key_of([transfer(one)])
    assert key_of([transfer(one)]) != key_of([transfer(other)])


def test_a_model_with_another_attribute_reuses_nothing(
    model: Counting, digits_test: Digits, file: Path
) -> None:
    attacks = ["pgd-3(eps=0.1)"]
    model.guarded = True  # type: ignore[assignment]
    attacked(model, digits_test, attacks, resume=file)
    model.guarded = False  # type: ignore[assignment]
    with pytest.warns(RobenchWarning, match="these differ: attributes of the model"):
        attacked(model, digits_test, attacks, resume=file)


# --- files that cannot be used -----------------------------------------------------------------


@pytest.mark.parametrize("content", ["half", "noise", "pickle", "foreign", "nothing"])
def test_a_damaged_file_is_not_used(
    content: str, model: Counting, digits_test: Digits, file: Path
) -> None:
    attacks = ["pgd-3(eps=0.1)"]
    whole = attacked(model, digits_test, attacks, resume=file)
    sound = file.read_bytes()
    if content == "pickle":
        np.savez(file, facts=np.array([{}], dtype=object))
    elif content == "foreign":
        np.savez(file, facts=np.array("[1]"), gradient=np.array("x"))
    else:
        others = {"half": sound[: len(sound) // 2], "noise": b"\0" * 99, "nothing": b""}
        file.write_bytes(others[content])
    with pytest.warns(RobenchWarning, match="it is not used"):
        assert same(attacked(model, digits_test, attacks, resume=file), whole)
    assert same(attacked(model, digits_test, attacks, resume=file), whole)


@pytest.mark.parametrize("error", [MemoryError(), OSError(24, "Too many open files")])
def test_a_machine_in_want_of_something_costs_nothing_that_was_kept(
    error: Exception,
    model: Counting,
    digits_test: Digits,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attacks = ["pgd-3(eps=0.1)"]
    attacked(model, digits_test, attacks, resume=file)
    kept = file.read_bytes()

    def fail(*given: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(np.lib.format, "read_array", fail)
    with pytest.raises((MemoryError, UserError, OSError)):
        attacked(model, digits_test, attacks, resume=file)
    assert file.read_bytes() == kept


def test_a_full_disk_does_not_end_the_attack(
    model: Counting, digits_test: Digits, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise UserError("cannot write it: no space left")

    whole = attacked(model, digits_test, ATTACKS["several"])
    monkeypatch.setattr(partial, "write_bytes", full)
    with pytest.warns(RobenchWarning) as said:
        again = attacked(model, digits_test, ATTACKS["several"], resume=file)
    assert same(again, whole)
    assert [str(w.message) for w in said] == [
        "what is done is not kept any longer: cannot write it: no space left"
    ]


def test_a_folder_is_refused(model: Counting, digits_test: Digits, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder; name a file"):
        attacked(model, digits_test, ["fgsm"], resume=tmp_path)


def test_images_are_not_kept_so_that_there_is_nothing_to_observe(
    model: Counting, digits_test: Digits, file: Path
) -> None:
    with pytest.raises(UserError, match="leave out one of them"):
        adversarial_images(model, *digits_test, ["fgsm"], resume=file)


def test_checks_have_nothing_to_resume(file: Path) -> None:
    with pytest.raises(UserError, match="checks keep no file"):
        CheckOptions(resume=file)


# --- counts and reports ------------------------------------------------------------------------


def test_progress_and_costs_tell_what_earlier_sessions_did(
    model: Counting, digits_test: Digits, file: Path
) -> None:
    attacks, seen = ["simba(max_steps=30)"], []
    with pytest.raises(KilledError):
        attacked(model, digits_test, attacks, resume=file, progress=_stop("simba", 7))
    again = attacked(model, digits_test, attacks, resume=file, progress=seen.append)
    first, last = seen[0], seen[-1]
    assert first.done >= 6
    assert first.note == f"{first.done}/40 images, {first.done} from before"
    assert last.note == f"40/40 images, {first.done} from before"
    assert again.earlier.seconds > 0
    assert again.earlier.peak_memory_mib > 0
    assert attacked(model, digits_test, attacks).earlier.seconds == 0


def test_remove_takes_what_a_killed_write_has_left(file: Path) -> None:
    file.parent.mkdir()
    other = file.with_name("done.csv")
    for path in (file, file.with_name(f".{file.name}.x7"), other):
        path.touch()
    partial.remove(file)
    assert list(file.parent.iterdir()) == [other]
    partial.remove(file)


def test_nothing_is_said_where_nothing_is_wrong(
    model: Counting, digits_test: Digits, file: Path
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RobenchWarning)
        for _ in range(2):
            attacked(model, digits_test, ["fgsm"], resume=file)
