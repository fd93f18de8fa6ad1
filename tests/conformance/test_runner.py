"""The runner of the official tests reports each difference from what is expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance import official
from tests.conformance.official import DownloadError, Outcomes, compare, summary

if TYPE_CHECKING:
    from pathlib import Path

EXPECTED = {
    "failed": {"a.fails": "why"},
    "skipped": {"a.skips": "why"},
    "may_skip": {"a.may": "why"},
}


def outcomes(*, passed: set[str], failed: set[str], skipped: set[str]) -> Outcomes:
    return Outcomes(passed, failed, skipped, dict.fromkeys(failed | skipped, "said"))


@pytest.mark.parametrize("may", ["passed", "skipped"])
def test_as_expected(may: str) -> None:
    found = outcomes(passed={"a.passes"}, failed={"a.fails"}, skipped={"a.skips"})
    getattr(found, may).add("a.may")
    assert compare(found, EXPECTED, complete=True) == []
    assert summary(found, []).endswith(
        " 1 failed, 1 skipped; as expected" if may == "passed" else " 2 skipped; as expected"
    )


def test_each_difference_is_reported() -> None:
    found = outcomes(passed={"a.fails", "a.skips"}, failed={"a.may"}, skipped={"a.new"})
    found.broken["test_b.py"] = "no runtime"
    wrong = compare(found, EXPECTED, complete=True)
    assert wrong == [
        "BROKEN test_b.py: no runtime",
        "FAILED a.may: said",
        "SKIPPED a.new: said",
        "PASSED a.fails: take it from expected.toml",
        "PASSED a.skips: take it from expected.toml",
    ]
    assert summary(found, wrong) == "2 passed, 1 failed, 1 skipped; 5 not as expected"


def test_a_missing_test_is_reported_if_all_ran() -> None:
    found = outcomes(passed={"a.may"}, failed={"a.fails"}, skipped=set())
    assert compare(found, EXPECTED, complete=False) == []
    assert compare(found, EXPECTED, complete=True) == [
        "MISSING a.skips: take it from expected.toml"
    ]


def test_reports_are_read(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        "<testsuite>"
        '<testcase classname="test.integration.test_a.TestA" name="good"/>'
        '<testcase classname="test.integration.test_a.TestA" name="untidy"/>'
        '<testcase classname="test.integration.test_a.TestA" name="untidy">'
        '<error message="left open"/></testcase>'
        '<testcase classname="test.integration.test_a.TestA" name="lazy">'
        '<skipped message="no device"/></testcase></testsuite>'
    )
    found = Outcomes()
    found.read(report)
    assert (found.passed, found.failed, found.skipped) == (
        {"test_a.TestA.good"},
        {"test_a.TestA.untidy"},
        {"test_a.TestA.lazy"},
    )
    assert found.reasons["test_a.TestA.lazy"] == "no device"


def test_another_archive_than_the_pinned_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(official, "CACHE", tmp_path)
    other = tmp_path / f"qiskit_ibm_runtime-{official.PINNED}.tar.gz"
    other.write_bytes(b"another")
    with pytest.raises(DownloadError, match="No test was run"):
        official.download()
    assert not other.exists()


def test_a_failed_download_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(official, "CACHE", tmp_path)
    # A registry that has nothing.
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(DownloadError, match=r"download of qiskit-ibm-runtime 0\.51\.0 failed"):
        official.download()
