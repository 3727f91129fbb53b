"""The checks, spectra and costs that were made again are compared with the published ones."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from robench.leaderboard.audit.findings import verdict
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.leaderboard.rerun.comparing import Conditions
from robench.leaderboard.rerun.remake import Remade
from robench.leaderboard.rerun.reports import Deviations, deviations
from robench.models.complexity import Complexity
from robench.runs.records import CheckReport, FindingEntry, LayerSpectrum

SPECTRUM = LayerSpectrum(layer="conv1", operator="convolution", norm=2.0, condition=10.0)


@pytest.fixture(scope="module")
def cell(finished_board: Path) -> PublishedCell:
    """The second row, to which images of the first were transferred, with spectra."""
    cell = Leaderboard.read(finished_board / "tiny").cells[1]
    file = cell.file.model_copy(update={"spectra": (SPECTRUM,)})
    return dataclasses.replace(cell, file=file)


def remade(cell: PublishedCell, **changes: Any) -> Remade:
    """Return a rerun that found just what was published, but for the changes."""
    manifest = cell.file.manifest
    assert manifest is not None
    same = Remade(
        outcomes=cell.outcomes,
        manifest=manifest,
        report=cell.file.checks,
        spectra=cell.file.spectra,
        costs=cell.file.costs,
        transferred=True,
        randomized=False,
    )
    return dataclasses.replace(same, **changes)


def compared(cell: PublishedCell, **changes: Any) -> Deviations:
    return deviations(cell, remade(cell, **changes), Conditions(same_device=True))


def elsewhere(cell: PublishedCell, **changes: Any) -> Deviations:
    return deviations(cell, remade(cell, **changes), Conditions(same_device=False))


def worded(cell: PublishedCell, check: str, sentence: str) -> CheckReport:
    """Return the published report with another sentence of a check, result unchanged."""
    found = report(cell)
    changed = [
        f.model_copy(update={"sentence": sentence}) if f.check == check else f
        for f in found.findings
    ]
    return found.model_copy(update={"findings": tuple(changed)})


def report(cell: PublishedCell, **changes: Any) -> CheckReport:
    """Return the published report with another result of the checks that are named."""
    checks = cell.file.checks
    assert checks is not None
    findings = [
        FindingEntry(check=f.check, passed=changes.get(f.check, f.passed), sentence=f.sentence)
        for f in checks.findings
    ]
    return checks.model_copy(update={"findings": tuple(findings)})


def test_what_agrees_is_no_deviation(cell: PublishedCell) -> None:
    assert compared(cell) == Deviations()


def test_a_failed_check_that_was_made_passed_is_found(cell: PublishedCell) -> None:
    [problem] = compared(cell, report=report(cell, more_steps=False)).problems
    assert problem.startswith("the check 'more_steps' is published as passed, but is failed here")
    [problem] = compared(cell, report=report(cell, train_eval_gap=True)).problems
    assert "published as inconclusive, but is passed here" in problem


def test_invented_and_removed_checks_and_other_numbers_are_found(cell: PublishedCell) -> None:
    checks = cell.file.checks
    assert checks is not None
    fewer = checks.model_copy(update={"findings": checks.findings[1:], "samples": 10})
    problems = compared(cell, report=fewer).problems
    assert "the check 'stateful' is published, but is not one of the checks" in problems[0]
    assert "name 20 images, but were made on 10" in problems[1]
    removed = dataclasses.replace(cell, file=cell.file.model_copy(update={"checks": fewer}))
    assert "'stateful' is missing from" in compared(removed, report=checks).problems[0]
    none = dataclasses.replace(cell, file=cell.file.model_copy(update={"checks": None}))
    assert "but none are published" in compared(none, report=checks).problems[0]
    assert "the board asks for none" in compared(cell, report=None).problems[0]


def test_a_sentence_with_other_numbers_is_found(cell: PublishedCell) -> None:
    found = report(cell)
    finding = found.findings[0].model_copy(update={"sentence": "Accuracy falls: 1.0%."})
    changed = found.model_copy(update={"findings": (finding, *found.findings[1:])})
    [problem] = compared(cell, report=changed).problems
    assert problem == "the check 'stateful' says here: Accuracy falls: 1.0%."


def test_sentences_belong_to_the_version_of_checks_not_to_a_commit(cell: PublishedCell) -> None:
    manifest = cell.file.manifest
    assert manifest is not None
    entries = {
        key: entry.model_copy(update={"version": "123456789abc", "refused": {"folding": "hooks"}})
        for key, entry in manifest.outcomes.items()
    }
    other = manifest.model_copy(update={"outcomes": entries})
    forged = dataclasses.replace(cell, file=cell.file.model_copy(update={"manifest": other}))
    changed = worded(cell, "train_eval_gap", "Something else.")
    problems = compared(forged, report=changed, manifest=manifest).problems
    assert "the check 'train_eval_gap' says here: Something else." in problems
    assert any("folding of the shortcuts is said to be ruled out" in p for p in problems)


def test_of_reports_of_version_1_only_what_fails_today_counts(cell: PublishedCell) -> None:
    checks = report(cell, more_steps=None, more_restarts=False).model_copy(update={"version": 1})
    earlier = dataclasses.replace(cell, file=cell.file.model_copy(update={"checks": checks}))
    note = "its checks: an earlier version of robench made them, and only failures count here."
    assert compared(earlier, report=report(cell, more_restarts=False)) == Deviations((), (note,))
    [problem] = compared(earlier, report=report(cell, black_box=False)).problems
    assert problem.startswith("the check 'black_box' fails here, which its report, of an earlier")


def test_a_report_of_version_2_is_compared_in_what_is_made_as_it_was_then(
    cell: PublishedCell,
) -> None:
    checks = worded(cell, "incomplete_optimization", "The loss rises; 100 steps leave 9.9%.")
    checks = checks.model_copy(update={"version": 2})
    earlier = dataclasses.replace(cell, file=cell.file.model_copy(update={"checks": checks}))
    findings = {finding.check: finding for finding in report(cell).findings}
    said, added = findings["incomplete_optimization"], findings["restricted"]
    notes = tuple(
        f"the check '{now.check}', which an earlier version of robench {made}; that of today is "
        f"{verdict(now)}: {now.sentence}"
        for now, made in ((said, "made otherwise"), (added, "did not make"))
    )
    assert compared(earlier, report=cell.file.checks) == Deviations((), notes)

    found = compared(earlier, report=report(cell, more_steps=False))
    assert "the check 'more_steps' is published as passed" in found.problems[0]
    found = compared(earlier, report=report(cell, incomplete_optimization=False))
    assert found.problems == (
        "the check 'incomplete_optimization' fails here, which its report, of an earlier version "
        f"of robench, does not say; make its checks again with `robench run`: {said.sentence}",
    )
    # Those of today have one attack more before them.
    lower = searched(cell, 0.0, "silent_success")
    assert compared(earlier, report=lower).problems == ()
    lower = searched(cell, 0.0, "loss_rises")
    assert (
        "best-effort accuracy of the check 'loss_rises'"
        in compared(earlier, report=lower).problems[0]
    )


def searched(cell: PublishedCell, share: float | None, check: str = "loss_rises") -> CheckReport:
    """Return the published report with another best-effort accuracy of a check."""
    found = report(cell)
    changed = [
        f.model_copy(update={"best_effort": share}) if f.check == check else f
        for f in found.findings
    ]
    return found.model_copy(update={"findings": tuple(changed)})


def test_a_best_effort_accuracy_that_was_changed_by_one_image_is_found(cell: PublishedCell) -> None:
    published = dataclasses.replace(
        cell, file=cell.file.model_copy(update={"checks": searched(cell, 0.5)})
    )
    for images, wrong in ((-1, 1), (0, 0), (1, 1)):
        now = searched(cell, 0.5 + images / 20)
        assert len(compared(published, report=now).problems) == wrong
    [problem] = compared(published, report=searched(cell, None)).problems
    assert problem == (
        "the best-effort accuracy of the check 'loss_rises' is published as 0.5000, but is none "
        "here."
    )
    assert elsewhere(published, report=searched(cell, 0.4)).problems == ()


def test_on_another_device_the_figures_of_a_sentence_may_differ_a_little(
    cell: PublishedCell,
) -> None:
    sentence = "On {} of 20 images ({}%) the gradient is zero or missing."
    there = worded(cell, "zero_gradients", sentence.format(1, "5.0"))
    published = dataclasses.replace(cell, file=cell.file.model_copy(update={"checks": there}))
    for count, share, wrong in ((1, "5.0", 0), (3, "15.0", 0), (4, "20.0", 1)):
        now = worded(cell, "zero_gradients", sentence.format(count, share))
        assert len(elsewhere(published, report=now).problems) == wrong
    now = worded(cell, "zero_gradients", "Another sentence.")
    assert elsewhere(published, report=now).problems == ()
    assert (
        "'zero_gradients'; here: Another sentence." in elsewhere(published, report=now).unchecked[0]
    )


def test_a_curve_that_was_changed_by_one_image_is_found(cell: PublishedCell) -> None:
    found = report(cell)
    point = found.curve[3]
    for images, wrong in ((-1, 1), (0, 0), (1, 1)):
        moved = point.model_copy(update={"accuracy": point.accuracy + images / found.samples})
        curve = (*found.curve[:3], moved, *found.curve[4:])
        deviating = compared(cell, report=found.model_copy(update={"curve": curve}))
        assert len(deviating.problems) == wrong


def test_without_the_other_network_the_transfer_is_not_checked(cell: PublishedCell) -> None:
    found = compared(cell, report=report(cell, transfer=None), transferred=False)
    assert found.problems == ()
    assert "the check 'transfer': the weights" in found.unchecked[0]
    # A merged row was attacked from another network: only a failure contradicts it.
    assert compared(cell, report=report(cell, transfer=None)).problems == ()
    assert compared(cell, report=report(cell, transfer=False)).problems != ()


def test_the_checks_of_a_randomized_network_are_not_compared(cell: PublishedCell) -> None:
    conditions = Conditions(same_device=True, reason="random numbers")
    found = deviations(cell, remade(cell, report=report(cell, more_steps=False)), conditions)
    assert found.problems == ()
    assert "random numbers" in found.unchecked[0]
    hidden = deviations(cell, remade(cell, report=report(cell, same_logits=False)), conditions)
    assert "'same_logits' is published as passed" in hidden.problems[0]


def test_other_spectra_and_costs_are_found(cell: PublishedCell) -> None:
    near = SPECTRUM.model_copy(update={"norm": 2.001})
    assert elsewhere(cell, spectra=(near,)).problems == ()
    far = SPECTRUM.model_copy(update={"condition": 11.0})
    assert compared(cell, spectra=(far,)).problems == (
        "the condition of the layer conv1 is 11.0 here, not 10.0.",
    )
    assert "not those of the layers" in compared(cell, spectra=()).problems[0]
    costs = Complexity(10, cell.file.costs.multiply_adds, None)
    [problem] = compared(cell, costs=costs).problems
    assert problem == f"its network has 10 parameters, not {cell.file.costs.parameters}."


@pytest.mark.parametrize(("name", "found"), [("norm", 2.0001), ("condition", 10.01)])
def test_on_the_same_device_spectra_are_equal_but_for_their_last_digit(
    cell: PublishedCell, name: str, found: float
) -> None:
    near = SPECTRUM.model_copy(update={name: found})
    [problem] = compared(cell, spectra=(near,)).problems
    assert f"the {name} of the layer conv1 is {found} here" in problem
    assert elsewhere(cell, spectra=(near,)).problems == ()
    rounded = SPECTRUM.model_copy(update={name: getattr(SPECTRUM, name) * (1 + 1e-5)})
    assert compared(cell, spectra=(rounded,)).problems == ()


def test_memory_of_a_training_step_is_compared_where_it_was_measured_likewise(
    cell: PublishedCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, memory = cell.file.manifest, cell.file.costs.training_memory_mib
    assert manifest is not None
    assert memory is not None
    version = "robench.leaderboard.rerun.reports.code_version"
    monkeypatch.setattr(version, lambda: manifest.version)
    less = dataclasses.replace(cell.file.costs, training_memory_mib=0.8 * memory)
    [problem] = compared(cell, costs=less).problems
    assert problem.startswith("a training step of its network takes ")
    assert elsewhere(cell, costs=less).problems == ()
    monkeypatch.setattr(version, lambda: "another")
    assert compared(cell, costs=less).problems == ()


def test_on_another_device_nearly_singular_layers_may_differ(cell: PublishedCell) -> None:
    def differs(published: float | None, found: float | None, compare: Any = elsewhere) -> bool:
        file = cell.file.model_copy(
            update={"spectra": (SPECTRUM.model_copy(update={"condition": published}),)}
        )
        now = (SPECTRUM.model_copy(update={"condition": found}),)
        return bool(compare(dataclasses.replace(cell, file=file), spectra=now).problems)

    assert not differs(1e5, 1.08e5)
    assert differs(1e5, 1.2e5)
    assert differs(1e3, 1.02e3)
    assert differs(10.0, 1e9)
    assert not differs(2e6, 5e6)
    assert not differs(None, 2e6)
    assert not differs(2e6, None)
    assert differs(None, 1e5)
    assert differs(1e5, 1.08e5, compared)
    assert differs(None, 2e6, compared)


def test_another_list_of_shortcuts_that_the_network_rules_out_is_found(
    cell: PublishedCell,
) -> None:
    manifest = cell.file.manifest
    assert manifest is not None
    entries = {
        key: entry.model_copy(update={"refused": {"folding": "it has hooks"}})
        if entry.column == "fgsm"
        else entry
        for key, entry in manifest.outcomes.items()
    }
    found = compared(cell, manifest=manifest.model_copy(update={"outcomes": entries}))
    assert found.problems == (
        "fgsm: none of the shortcuts is said to be ruled out by the network, but folding is here.",
    )


def with_constant(cell: PublishedCell, lipschitz: float) -> Any:
    manifest = cell.file.manifest
    assert manifest is not None
    entries = manifest.outcomes.items()
    proved = {name: e.model_copy(update={"lipschitz": lipschitz}) for name, e in entries}
    return manifest.model_copy(update={"outcomes": proved})


@pytest.mark.parametrize("reason", ["rounding", "earlier attack", "random numbers"])
def test_a_constant_is_compared_whatever_the_attacks_differ_by(
    cell: PublishedCell, reason: Any
) -> None:
    conditions = Conditions(same_device=False, reason=reason)
    for there, problems in ((2.0, 0), (2.0 * (1 - 1e-5), 1)):
        file = cell.file.model_copy(update={"manifest": with_constant(cell, there)})
        published = dataclasses.replace(cell, file=file)
        found = remade(cell, manifest=with_constant(cell, 2.0))
        texts = [t for t in deviations(published, found, conditions).problems if "Lipschitz" in t]
        assert bool(texts) == bool(problems)
