"""GET /qsession/ids: ids by their beginning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qsession_widget.local.admin import Administration
from qsession_widget.runtime.http.routes.ids import MOST
from tests.runtime.server import problem

if TYPE_CHECKING:
    from tests.runtime.server import Server


def ids(server: Server, kind: str, prefix: str) -> list[str]:
    return list(server.json("/qsession/ids", kind=kind, prefix=prefix)["ids"])


def test_each_kind_by_the_beginning_of_its_ids(server: Server) -> None:
    session, job = server.open(), server.submit()
    assert ids(server, "session", session[:12]) == [session]
    assert ids(server, "job", job[:12]) == [job]
    assert ids(server, "job", session) == ids(server, "session", job) == []


def test_only_so_many_are_listed(server: Server) -> None:
    for _ in range(16 * MOST):
        server.open()
    by_first = {digit: ids(server, "session", digit) for digit in "0123456789abcdef"}
    assert max(map(len, by_first.values())) == MOST
    for digit, found in by_first.items():
        assert found == sorted(found)
        assert all(each.startswith(digit) for each in found)


def test_other_users_ids_are_not_listed(server: Server) -> None:
    session = server.open()
    token = Administration(folder=server.folder).add_user("ida")
    answer = server.get(
        "/qsession/ids",
        params={"kind": "session", "prefix": session},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.json() == {"ids": []}


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"kind": "user", "prefix": "a"}, "kind is 'user'"),
        ({"prefix": "\x00"}, "prefix has a NUL character"),
        ({"kind": "job", "prefix": "a" * 300}, "prefix has 300 characters"),
    ],
)
def test_what_cannot_be_asked(server: Server, query: dict[str, str], named: str) -> None:
    assert named in problem(server.get("/qsession/ids", params=query), 400)


def test_every_id_begins_with_nothing(server: Server) -> None:
    session = server.open()
    assert server.json("/qsession/ids", prefix=session) == {"ids": [session]}
    assert len(server.json("/qsession/ids")["ids"]) >= 1


@pytest.mark.parametrize("prefix", ["%", "_", "\U0010ffff", "' OR 1"])
def test_a_prefix_is_only_a_text(server: Server, prefix: str) -> None:
    server.open()
    assert ids(server, "session", prefix) == []
