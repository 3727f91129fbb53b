"""The report of the checks, as stored in a manifest."""

import json

import pytest

from robench.checks import Finding, Report
from robench.errors import UserError
from robench.runs.records import CheckReport

REPORT = Report(
    128,
    (Finding("more_steps", False, "It is weaker."), Finding("transfer", None, "None was given.")),
    ((0.0, 0.9), (0.1, 0.25)),
)


def test_it_reads_back_from_json() -> None:
    assert Report.from_json(json.loads(json.dumps(REPORT.to_json()))) == REPORT


def test_its_json_is_that_of_the_contract() -> None:
    assert REPORT.to_json() == {
        "version": 4,
        "samples": 128,
        "findings": [
            {"check": "more_steps", "passed": False, "sentence": "It is weaker."},
            {"check": "transfer", "passed": None, "sentence": "None was given."},
        ],
        "curve": [{"eps": 0.0, "accuracy": 0.9}, {"eps": 0.1, "accuracy": 0.25}],
    }


def test_a_report_of_version_1_is_read() -> None:
    assert Report.from_json(REPORT.to_json() | {"version": 1}) == REPORT


def test_the_best_effort_of_a_search_is_kept() -> None:
    searched = Finding("transfer", False, "It transfers.", best_effort=0.25)
    report = Report(128, (*REPORT.findings, searched))
    assert report.to_json()["findings"][-1]["best_effort"] == 0.25
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report
    assert CheckReport.model_validate(report.to_json()).model_dump(mode="json") == report.to_json()


def test_the_best_effort_of_a_report_is_that_of_its_strongest_check() -> None:
    found = [Finding(f"check{n}", True, "Fine.", n / 8) for n in (5, 3, 4)]
    assert Report(8, (*REPORT.findings, *found)).best_effort == 3 / 8
    assert REPORT.best_effort is None


def test_what_could_not_be_made_has_not_failed() -> None:
    assert REPORT.failed == ["more_steps"]


@pytest.mark.parametrize(
    "change",
    [{"version": 9}, {"findings": [{"check": "a"}]}, {"curve": [1]}, {"samples": None},
     {"findings": [{"check": "a", "passed": "yes", "sentence": "b"}]}],
)  # fmt: skip
def test_damaged_json_is_reported_in_a_sentence(change: dict[str, object]) -> None:
    with pytest.raises(UserError, match="checks of a cell are damaged"):
        Report.from_json(REPORT.to_json() | change)
