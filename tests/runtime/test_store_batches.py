"""Changes that share a commit have the same effect as one after the other."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from qsession_widget.runtime.model.user import User
from qsession_widget.runtime.pieces import LongText
from qsession_widget.runtime.store.database import Sqlite
from qsession_widget.runtime.store.store import JobFilter, Store
from qsession_widget.runtime.store.writes import (
    AddJob,
    AddPieces,
    AddSession,
    AddUser,
    DeleteJob,
    DeleteResult,
    DropText,
    FreePages,
    Prune,
    RemoveUser,
    Retag,
    SetClock,
    Update,
    Write,
)
from qsession_widget.wire.states import JobState, SessionState
from tests.runtime.test_listing import check
from tests.runtime.test_store import INDEX, NOON, TABLES, a_job, a_session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qsession_widget.runtime.model.job import Job


def made(kind: type[Write], *parts: Any, **fields: Any) -> st.SearchStrategy[Any]:
    """Build changes of a kind; hypothesis would look for the types of its fields."""

    def make(*each: Any, **more: Any) -> Write:
        return kind(*each, **more)

    return st.builds(make, *parts, **fields)


# Few names, so that changes collide: created twice, changed before creation, or after deletion.
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
TEXTS = [LongText(2, b"digest", key) for key in "kl"]
KEPT = {
    # Released rows are removed some time later.
    "long_texts": "where not dropped",
    "pieces": "where key in (select key from long_texts where not dropped)",
}
long_texts = st.sampled_from(TEXTS)
users = st.builds(User, st.sampled_from("uv"), st.just(NOON), st.sampled_from(("hash", "other")))
changes = st.one_of(
    made(AddSession, sessions, KEYS),
    made(
        AddJob,
        jobs,
        st.just("{}") | long_texts,
        KEYS,
        sessions=st.lists(sessions, max_size=1).map(tuple),
    ),
    made(
        Update,
        sessions=st.lists(sessions, max_size=2).map(tuple),
        jobs=st.lists(jobs, max_size=2).map(tuple),
        result=st.none() | st.tuples(names, st.sampled_from(("one", "two")) | long_texts),
        can_wait=st.booleans(),
    ),
    made(Retag, jobs),
    made(DropText, st.sampled_from("kl")),
    made(DeleteJob, names),
    made(DeleteResult, names),
    made(Prune, st.lists(names, max_size=2).map(tuple)),
    made(FreePages, st.just(1)),
    made(AddUser, users),
    made(RemoveUser, st.sampled_from("uv")),
    made(SetClock, st.integers(0, 9).map(lambda days: NOON + timedelta(days=days))),
)


# With existing rows most changes succeed, and share a commit.
BEGINNING = [
    *(AddPieces(text, first, (b"x",)) for text in TEXTS for first in (0, 1)),
    *(AddSession(a_session(name), None) for name in SESSIONS),
    *(AddJob(the_job(name, pubs=2), "{}", None) for name in JOBS),
]
histories = st.builds(
    lambda first, then: [*first, *then],
    st.sampled_from(([], BEGINNING)),
    st.lists(changes, min_size=2, max_size=12),
)
# Few changes of one job, hardly one of which fails: a failing change splits the commit.
of_one_job = st.lists(
    st.one_of(
        made(Update, jobs=jobs.map(lambda job: (changed(job, id="a", session_id=None),))),
        made(Retag, jobs.map(lambda job: changed(job, id="a", session_id=None))),
        made(Update, result=st.tuples(st.just("a"), st.sampled_from(("one", "two")))),
        st.just(DeleteResult("a")),
        st.just(Prune(("a",))),
    ),
    min_size=2,
    max_size=3,
).map(lambda then: [*BEGINNING, *then])


class Kept:
    """A store that is emptied for each history, since creating one is slow."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.store = Store(Sqlite(path))

    async def _write(
        self, history: list[Write], *, together: bool
    ) -> list[type[BaseException] | None]:
        if together:
            futures = [self.store.write(change) for change in history]
            found = await asyncio.gather(*futures, return_exceptions=True)
        else:
            found = []
            for change in history:
                alone = isinstance(change, Update)
                future = self.store.write(changed(change, can_wait=False) if alone else change)
                found += await asyncio.gather(future, return_exceptions=True)
        return [None if each is None else type(each) for each in found]

    async def after(self, history: list[Write], *, together: bool) -> Any:
        """Return the error of each change or None, and all rows."""
        with closing(sqlite3.connect(self._path)) as connection:
            for table in reversed(TABLES):
                connection.execute(f"delete from {table}")  # noqa: S608 - a name of ours
            connection.commit()
            outcomes = await self._write(history, together=together)
            # The rows were deleted behind its back: it looks for such changes after a commit.
            await self.store.write(Update())
            await self.store.jobs("o", JobFilter())
            rows = {}
            for table in TABLES:
                if table not in INDEX:
                    query = f"select * from {table} {KEPT.get(table, '')}"  # noqa: S608 - the store's own tables
                    rows[table] = sorted(connection.execute(query), key=repr)
            check(self._path)
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
async def test_changes_have_the_same_effect_together_and_one_by_one(
    kept: tuple[Kept, Kept], history: list[Write]
) -> None:
    together, apart = kept
    assert await together.after(history, together=True) == await apart.after(
        history, together=False
    )
