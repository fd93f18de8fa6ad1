"""A store is copied into PostgreSQL and back, and nothing differs."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from qsession_widget.cli.main import main
from qsession_widget.runtime.model.user import User
from qsession_widget.runtime.pieces import PIECE_BYTES
from qsession_widget.runtime.store import copying, listing, usage, workloads
from qsession_widget.runtime.store.copying import CopyError, copy
from qsession_widget.runtime.store.places import at
from qsession_widget.runtime.store.store import JobFilter, Store
from qsession_widget.runtime.store.writes import AddJob, AddSession, AddUser, SetClock, Update
from qsession_widget.wire.states import JobState
from tests.runtime.test_long_texts import content
from tests.runtime.test_store import NOON, a_job, a_session, new

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgresql import Cluster

pytestmark = pytest.mark.process

JOBS = 45


async def fill(found: Store) -> None:
    await found.write(AddSession(a_session(), "key of s"))
    for number in range(JOBS):
        fields: dict[str, Any] = {"tags": (f"t{number % 7}", "ä"), "session_id": None}
        if number % 2:
            fields["session_id"] = "s"
        # Ids are in another order than jobs.
        job = a_job(f"j{(number * 37) % 1_000:03}", owner="op"[number % 3 == 0], **fields)
        await found.write(new(job, f"key {number}", '{"pubs":[]}'))
        if number % 4:
            ended = {"state": JobState.COMPLETED, "started_at": NOON, "ended_at": NOON}
            busy = {"busy_seconds": 0.1 + number}
            result = (job.id, '{"a":"\\u0000"}')
            await found.write(Update(jobs=(replace(job, **ended, **busy),), result=result))
    text = await found.keep(content(bytes(range(256)) * (PIECE_BYTES // 128)))
    await found.write(AddJob(a_job("long"), text, None))
    await found.write(AddUser(User("ada", NOON, "hash")))
    await found.write(SetClock(NOON))


async def lists(found: Store) -> list[Any]:
    """Return what is read of a store, as far as it may differ."""
    answers: list[Any] = [found.unfinished(), found.users()]
    for owner in "op":
        wanted = [
            JobFilter(limit=200),
            JobFilter(limit=7, offset=3, ascending=True),
            JobFilter(limit=200, tags=("t3",)),
            JobFilter(limit=200, pending=True),
            JobFilter(limit=200, session_id="s"),
        ]
        answers += [await found.jobs(owner, each) for each in wanted]
        answers.append(await found.read_lists(workloads.tags, owner, "", 99))
        answers.append(await found.read_lists(workloads.read, owner, workloads.Wanted(search="t")))
        answers.append(await found.read_lists(usage.used_seconds, owner))
    answers.append(await found.params("j037"))
    answers.append(b"".join(await found.params_in_pieces("long") or ()))
    return answers


@pytest.mark.parametrize("listed", [True, False])
async def test_a_copy_there_and_back_has_the_same_answers(
    postgresql: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    listed: bool,
) -> None:
    url, back = postgresql.new(), tmp_path / "back" / "runtime.db"
    with monkeypatch.context() as patch, closing(Store(at(tmp_path))) as found:
        if not listed:
            # The index of lists is not made yet when it is copied.
            patch.setattr(listing, "bring_up_to_date", lambda _: None)
        await fill(found)
        expected = await lists(found) if listed else []
    assert main(["store", "copy", str(tmp_path), url]) == 0
    there = copy(at(url), at(back))
    assert [each.rows for each in there if each.table == "jobs"] == [JOBS + 1]
    assert copy(at(back), at(postgresql.new())) == there, "counts and hashes are the same"
    answers = []
    for place in (tmp_path, url, back):
        with closing(Store(at(place))) as found:
            answers.append(await lists(found))
            # Numbers go on after those of the copied rows.
            await found.write(new(a_job("later", tags=("later",))))
            jobs, _ = await found.jobs("o", JobFilter(tags=("later",)))
            assert [job.id for job in jobs] == ["later"]
    assert answers[0] == answers[1] == answers[2]
    assert not listed or expected == answers[0]
    assert not capsys.readouterr().err


async def test_nothing_is_copied_over_rows_or_from_a_store_in_use(
    postgresql: Cluster, tmp_path: Path
) -> None:
    url = postgresql.new()
    with closing(Store(at(url))) as used:
        await used.write(new(a_job()))
        with pytest.raises(CopyError, match="a runtime uses the store postgresql://"):
            copy(at(url), at(tmp_path))
    with closing(Store(at(tmp_path))) as other:
        await other.write(new(a_job("k")))
    with pytest.raises(CopyError, match="the copy is not empty: it has rows in"):
        copy(at(tmp_path), at(url))
    with closing(Store(at(url))) as used:
        assert [job.id for job in (await used.jobs("o", JobFilter()))[0]] == ["j"]
    assert copying.main([str(tmp_path / "nothing"), url]) == 1
