"""Changes that share a commit have the effect that they have one after the other."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from qsession_widget.runtime.model.user import User
from qsession_widget.runtime.store.store import Store, Write
from qsession_widget.wire.states import JobState, SessionState
from tests.runtime.test_store import NOON, TABLES, a_job, a_session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qsession_widget.runtime.model.job import Job

# Few enough that changes meet: a name is created twice, changed before it is, or after it went.
JOBS = ("a", "b", "c")
SESSIONS = ("s", "t")
KEYS = st.sampled_from((None, "k", "l"))
REVISIONS = st.integers(1, 9)


def the_job(name: str, **fields: Any) -> Job:
    return a_job(name, session_id={"b": "s", "c": "t"}.get(name), **fields)


jobs = st.builds(
    the_job,
    st.sampled_from(JOBS),
    state=st.sampled_from(JobState),
    reason=st.none() | st.text("xü'", max_size=3),
    ended_at=st.none() | st.just(NOON),
    tags=st.lists(st.sampled_from("xy"), max_size=2).map(tuple),
    pubs=st.just(2),
    revision=REVISIONS,
)
sessions = st.builds(
    a_session,
    st.sampled_from(SESSIONS),
    state=st.sampled_from(SessionState),
    used_seconds=st.floats(0, 9),
    revision=REVISIONS,
)
names = st.sampled_from(JOBS)
users = st.builds(User, st.sampled_from("uv"), st.just(NOON), st.sampled_from(("hash", "other")))
changes = st.one_of(
    st.builds(Write, new_session=st.tuples(sessions, KEYS)),
    st.builds(
        Write,
        new_job=st.tuples(jobs, st.just("{}"), KEYS),
        sessions=st.lists(sessions, max_size=1).map(tuple),
    ),
    st.builds(
        Write,
        sessions=st.lists(sessions, max_size=2).map(tuple),
        jobs=st.lists(jobs, max_size=2).map(tuple),
        result=st.none() | st.tuples(names, st.sampled_from(("one", "two"))),
        can_wait=st.booleans(),
    ),
    st.builds(Write, retagged=jobs),
    st.builds(Write, deleted_job=names),
    st.builds(Write, spent_result=names),
    st.builds(Write, spent=st.lists(names, max_size=2).map(tuple), freed_pages=st.just(1)),
    st.builds(Write, new_user=users),
    st.builds(Write, removed_user=st.sampled_from("uv")),
    st.builds(Write, clock=st.integers(0, 9).map(lambda days: NOON + timedelta(days=days))),
)


# Where all of it is there already, most changes are done, and share a commit.
BEGINNING = [
    *(Write(new_session=(a_session(name), None)) for name in SESSIONS),
    *(Write(new_job=(the_job(name, pubs=2), "{}", None)) for name in JOBS),
]
histories = st.builds(
    lambda first, then: [*first, *then],
    st.sampled_from(([], BEGINNING)),
    st.lists(changes, min_size=2, max_size=12),
)
# Few, of one job, and hardly one that is refused: what is refused makes the rest go apart.
of_one_job = st.lists(
    st.one_of(
        st.builds(Write, jobs=jobs.map(lambda job: (changed(job, id="a", session_id=None),))),
        st.builds(Write, retagged=jobs.map(lambda job: changed(job, id="a", session_id=None))),
        st.builds(Write, result=st.tuples(st.just("a"), st.sampled_from(("one", "two")))),
        st.just(Write(spent_result="a")),
        st.just(Write(spent=("a",))),
    ),
    min_size=2,
    max_size=3,
).map(lambda then: [*BEGINNING, *then])


class Kept:
    """A store that is emptied for each history, since making one takes long."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.store = Store(path)

    def after(self, history: list[Write], *, together: bool) -> Any:
        """Give what each change came to, and all rows."""

        async def write() -> list[type[BaseException] | None]:
            if together:
                futures = [self.store.write(change) for change in history]
                found = await asyncio.gather(*futures, return_exceptions=True)
            else:
                found = []
                for change in history:
                    future = self.store.write(replace(change, can_wait=False))
                    found += await asyncio.gather(future, return_exceptions=True)
            return [None if each is None else type(each) for each in found]

        with closing(sqlite3.connect(self._path)) as connection:
            for table in reversed(TABLES):
                connection.execute(f"delete from {table}")  # noqa: S608 - a name of ours
            connection.commit()
            outcomes = asyncio.run(write())
            rows = {
                table: sorted(connection.execute(f"select * from {table}"), key=repr)  # noqa: S608
                for table in TABLES
            }
        return outcomes, rows


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kept, Kept]]:
    found = [Kept(tmp_path_factory.mktemp("store") / "runtime.db") for _ in range(2)]
    yield found[0], found[1]
    for each in found:
        each.store.close()


@pytest.mark.minute
@settings(max_examples=400, derandomize=True)
@given(st.one_of(histories, of_one_job))
def test_together_or_one_by_one_is_the_same(kept: tuple[Kept, Kept], history: list[Write]) -> None:
    together, apart = kept
    assert together.after(history, together=True) == apart.after(history, together=False)
