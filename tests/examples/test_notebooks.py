"""The examples run from a clean kernel, and what they say of themselves is true."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from tests.examples import notebooks
from tests.examples.notebooks import NAMES, Executed, execute_all, outputs, printed, texts

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[2]
MOST_BYTES = 60_000
ABSOLUTE = re.compile(r"(?<![\w.:/])/(?:home|root|tmp|usr|var|opt|work|Users)/|[A-Z]:\\Users")
SECRET = re.compile(r"eyJ[\w-]{20,}|(?<![\w-])[\w-]{43}(?![\w-])")
"""A JWT, or a token of a local runtime: 32 random bytes in base64."""

EXACT_HARTREE = -1.857275
NUCLEI_HARTREE = 0.719969


@pytest.fixture(scope="session")
def executed(request: pytest.FixtureRequest) -> dict[str, Executed]:
    """Execute the notebooks of the selected tests, and leave out those of others."""
    here = (item for item in request.session.items if item.path == Path(__file__))
    selected = (item.callspec for item in here if hasattr(item, "callspec"))
    wanted = {each.params["name"] for each in selected if "name" in each.params}
    return execute_all(sorted(wanted))


def numbers(pattern: str, text: str) -> tuple[float, ...]:
    """Return the numbers that a line of a notebook prints."""
    found = re.search(pattern, text, re.MULTILINE)
    assert found is not None, f"{pattern!r} is not in:\n{text}"
    return tuple(float(each) for each in found.groups())


def quickstart(text: str) -> None:
    (energy,) = numbers(r"(-\d\.\d+) hartree after", text)
    assert energy == pytest.approx(EXACT_HARTREE, abs=0.15)


def vqe_h2(text: str) -> None:
    assert numbers(r"exact: (\S+) hartree, with the nuclei (\S+)", text) == pytest.approx(
        (EXACT_HARTREE, EXACT_HARTREE + NUCLEI_HARTREE), abs=1e-4
    )
    (noisy,) = numbers(r"on the noisy device: (\S+) hartree", text)
    assert EXACT_HARTREE < noisy < EXACT_HARTREE + 0.12
    # Five standard errors of the last estimate, and what the optimizer leaves.
    (ideal, total) = numbers(r"without noise: (\S+) hartree, with the nuclei (\S+)", text)
    assert ideal == pytest.approx(EXACT_HARTREE, abs=0.02)
    assert total == pytest.approx(EXACT_HARTREE + NUCLEI_HARTREE, abs=0.02)


def qaoa_maxcut(text: str) -> None:
    (most, edges) = numbers(r"largest cut of this graph: (\d) of (\d)", text)
    assert (most, edges) == (5, 6)
    assert numbers(r"cuts (\d) of 6 edges", text) == (most,)
    (average, random) = numbers(r"on average: (\S+); random colourings cut (\S+)", text)
    assert average > random + 0.3


def sessions_batches_jobs(text: str) -> None:
    modes = ("single jobs", "session", "batch")
    took, charged = zip(
        *(numbers(rf"{mode} +(\d+) s +(\d+) s", text) for mode in modes), strict=True
    )
    assert charged[0] == charged[2] == 50
    # Five jobs of ten seconds, and four pauses of five.
    assert 70 <= charged[1] < 80
    assert took[1] < took[0]


def what_happens_when(text: str) -> None:
    for line in (
        "after 90 s without a job: inactive, 70 s charged",
        "with the next job: active",
        "job 3: DONE",
        "job 4: ERROR  The session reached its maximum time while this job was queued.",
        "after the block: In progress, not accepting new jobs",
        "later: Closed, jobs ['DONE', 'DONE', 'DONE']",
        "later: Closed, jobs ['DONE', 'CANCELLED', 'CANCELLED']",
        "ValueError: a mistake in my own code\nClosed, jobs ['DONE', 'CANCELLED', 'CANCELLED']",
        "Ran longer than its limit of 4 s.",
        "the next one: DONE",
        "its process ended with -9; the session is active",
        "when another job waits: the session is inactive, the job DONE",
    ):
        assert line in text


def ibm_client(text: str) -> None:
    assert "qiskit_ibm_runtime.qiskit_runtime_service.QiskitRuntimeService" in text
    (zz,) = numbers(r"<ZZ> = (\S+): 1 without noise", text)
    assert 0.7 < zz < 1
    assert "2 jobs in one session" in text


def packages(text: str) -> None:
    # The environment of the tests has both.
    assert text.count("is installed") == 2
    (energy,) = numbers(r"VQE: (\S+) hartree", text)
    assert energy == pytest.approx(EXACT_HARTREE, abs=0.25)
    assert re.search(r"QAOA: (101|010) cuts both edges", text)
    for name in ("network", "its gradient"):
        (value, exact) = numbers(rf"{name}: (\S+) \(exact: (\S+)\)", text)
        assert value == pytest.approx(exact, abs=0.12)


def to_ibm_quantum(text: str) -> None:
    for channel in ("local", "ibm_quantum_platform"):
        (equal,) = numbers(rf"equal bits, on {channel}: (\S+)", text)
        assert 0.85 < equal < 1


def classroom(text: str) -> None:
    assert text.count("3 jobs; bits agree") == 3
    assert text.count("shared the device with others: yes") == 3
    assert "jobs that emmy sees: 3\nada's job: not found" in text
    assert "users: ada, emmy, lise\npolicy: shared\nunfinished jobs: 0" in text
    assert "0 users are left" in text


def mitigation(text: str) -> None:
    names = ("nothing", "TREX", "ZNE", "TREX and ZNE", "TREX and PEA", "TREX and PEC")
    off = {}
    for name in names:
        (value, error) = numbers(rf"^{name} +(\d\.\d+) ± (\d\.\d+)", text)
        off[name] = abs(value - 1)
        assert error < 0.06
    assert off["nothing"] > 0.18
    assert off["ZNE"] < off["nothing"] / 2
    for name in ("TREX and ZNE", "TREX and PEA", "TREX and PEC"):
        assert off[name] < off["nothing"] / 2


CLAIMS: dict[str, Callable[[str], None]] = {
    each.__name__: each
    for each in (
        quickstart,
        vqe_h2,
        qaoa_maxcut,
        sessions_batches_jobs,
        what_happens_when,
        ibm_client,
        packages,
        to_ibm_quantum,
        classroom,
        mitigation,
    )
}


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_from_a_clean_kernel(name: str, executed: dict[str, Executed]) -> None:
    run = executed[name]
    assert run.open_sessions == []
    for cell in run.notebook.cells:
        may_raise = "raises-exception" in cell.metadata.get("tags", [])
        kinds = {each.get("name") or each.output_type for each in cell.get("outputs", [])}
        assert "stderr" not in kinds, cell.outputs
        assert ("error" in kinds) == may_raise, cell.outputs
    for output in outputs(run.notebook):
        for text in texts(output):
            assert not any(secret in text for secret in run.secrets)
    check_what_is_shown(run.notebook)
    if name in CLAIMS:
        committed = nbformat.read(notebooks.path_of(name), as_version=4)
        CLAIMS[name](printed(run.notebook))
        CLAIMS[name](printed(committed))


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_as_it_is_committed(name: str) -> None:
    path = notebooks.path_of(name)
    assert path.stat().st_size < MOST_BYTES
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata
    check_what_is_shown(notebook)
    opening = notebook.cells[0].source
    for said in (r"\bFor\b", r"\b(second|minute)s?\b", r"\baccount\b"):
        assert re.search(said, opening, re.IGNORECASE), (
            f"{path.name} does not say {said!r} at first"
        )
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    source = "\n".join(cell.source for cell in code)
    assert re.search(r"^ *with |\.close\(\)", source, re.MULTILINE)
    assert notebooks.WIDGET not in json.dumps(notebook)
    assert "<IPython.core.display" not in json.dumps(notebook), "a picture without a text"


def check_what_is_shown(notebook: Any) -> None:
    """Fail if a notebook shows a path of this machine, or something that looks like a token."""
    for cell in notebook.cells:
        shown = [cell.source]
        for output in cell.get("outputs", []):
            shown += texts(output)
        for text in shown:
            assert not ABSOLUTE.search(text), ABSOLUTE.search(text)
            assert not SECRET.search(text), SECRET.search(text)
            assert str(REPOSITORY) not in text


def test_what_looks_like_a_path_or_a_token_is_found() -> None:
    for top in ("home", "root", "tmp", "Users"):
        assert ABSOLUTE.search(f"File /{top}/ada/vqe.py, line 3")
    assert not ABSOLUTE.search("https://docs.example/home/vqe and examples/tmp/vqe.py")
    assert SECRET.search(f"token {'a1-_' * 10}xyz")


def test_only_what_has_changed_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other ids and times change nothing, other values do."""
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path)
    first = "session 0b0d6a52-3d5b-4b4c-9c3c-0123456789ab at 12:00:01 UTC took 3.2 s: 0.5"
    again = "session 1b0d6a52-3d5b-4b4c-9c3c-0123456789ab at 13:07:09 UTC took 4.0 s: 0.5"

    def made(*printed: str) -> Any:
        outputs = [nbformat.v4.new_output("display_data", {"text/plain": text}) for text in printed]
        cell = nbformat.v4.new_code_cell("1", execution_count=1, outputs=outputs, id="cell-00")
        return nbformat.v4.new_notebook(cells=[cell])

    nbformat.write(made(first, first), tmp_path / "a.ipynb")
    assert not notebooks.write("a", made(again, again))
    assert (tmp_path / "a.ipynb").read_text().count(first) == 2
    assert notebooks.write("a", made(again, again.replace("0.5", "0.6")))
    written = (tmp_path / "a.ipynb").read_text()
    assert first in written
    assert again not in written
    assert "0.6" in written
