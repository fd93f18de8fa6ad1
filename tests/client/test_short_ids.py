"""Sessions and jobs by the beginning of their ids."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

from qsession_widget import (
    AmbiguousIdError,
    NotFoundError,
    QiskitRuntimeService,
    Sampler,
    Session,
)
from qsession_widget.client import short_ids
from qsession_widget.client.session import find_session
from tests.client.circuits import bell

if TYPE_CHECKING:
    from qsession_widget import RuntimeJob


@pytest.fixture
def job(service: QiskitRuntimeService) -> RuntimeJob:
    with Session(service, backend="fake_manila") as session:
        return Sampler(mode=session).run(bell())


def shortest(whole: str, ids: list[str]) -> str:
    """Return the shortest beginning of at least four characters that fits one id only."""
    return next(
        whole[:length]
        for length in range(4, len(whole) + 1)
        if sum(each.startswith(whole[:length]) for each in ids) == 1
    )


def test_a_unique_beginning_is_enough(service: QiskitRuntimeService, job: RuntimeJob) -> None:
    jobs = [each.job_id() for each in service.jobs(limit=None)]
    assert service.job(shortest(job.job_id(), jobs)).job_id() == job.job_id()
    whole = job.session_id
    assert whole
    short = shortest(whole, [each.id for each in service.sessions(limit=None)])
    assert Session.from_id(short, service).session_id == whole
    assert find_session(short, service).session_id == whole
    job.result()
    service.delete_job(shortest(job.job_id(), jobs))
    with pytest.raises(NotFoundError):
        service.job(job.job_id())


def test_an_ambiguous_one_lists_who_fits(job: RuntimeJob) -> None:
    first = job.job_id()
    with pytest.raises(AmbiguousIdError, match=f"{first}, {first[:-1]}x") as caught:
        short_ids.only_one("job", first[:-1], [first, f"{first[:-1]}x"])
    assert caught.value.candidates == (first, f"{first[:-1]}x")
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - of this line
    assert again.candidates == caught.value.candidates
    many = [f"{first[:-2]}{number:02}" for number in range(11)]
    with pytest.raises(AmbiguousIdError, match="09 and more") as caught:
        short_ids.only_one("job", first[:-2], many)
    assert len(caught.value.candidates) == 10


@pytest.mark.parametrize("text", ["abc", "no such id", "%", "____"])
def test_what_fits_nothing_is_not_found(service: QiskitRuntimeService, text: str) -> None:
    with pytest.raises(NotFoundError):
        service.job(text)
    with pytest.raises(NotFoundError):
        Session.from_id(text, service)


def test_three_characters_are_too_few(service: QiskitRuntimeService, job: RuntimeJob) -> None:
    """With some dozens of ids, they would soon fit several."""
    with pytest.raises(NotFoundError):
        service.job(job.job_id()[:3])


@pytest.mark.usefixtures("as_at_ibm")
def test_another_service_is_asked_once(service: QiskitRuntimeService) -> None:
    service._features = frozenset()
    with pytest.raises(NotFoundError):
        service.job("0123")
