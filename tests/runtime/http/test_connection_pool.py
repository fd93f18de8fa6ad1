"""How many connections there may be, and how many of them a user may have."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

from qsession_widget.runtime.http.middleware.connection_pool import ConnectionPool
from qsession_widget.wire.fields import ADMINISTRATOR

if TYPE_CHECKING:
    from pathlib import Path


class Line:
    """A connection as the list of connections sees it."""

    def __init__(self, peer: str = "a", *, busy: bool = False) -> None:
        self.peer, self.busy, self.dropped = peer, busy, False

    def drop(self) -> None:
        self.dropped = True


def test_the_address_with_the_most_anonymous_connections_makes_room() -> None:
    all_of_them = ConnectionPool(64)
    first = Line("b")
    all_of_them.enter(first)
    many = [Line("a") for _ in range(200)]
    for each in many:
        all_of_them.enter(each)
    assert not first.dropped
    assert [each.dropped for each in many].count(False) == all_of_them.strangers_most - 1
    assert not many[-1].dropped


def test_a_user_takes_no_more_than_their_share_and_nothing_of_the_administrators() -> None:
    all_of_them = ConnectionPool(64)

    def come(owner: str, **more: Any) -> tuple[Line, bool]:
        line = Line(**more)
        all_of_them.enter(line)
        return line, all_of_them.prove(line, owner)

    idle = come("eve")[0]
    for _ in range(all_of_them.user_most - 1):
        assert come("eve", busy=True)[1]
    # An idle connection makes room; if all are in use, the new one is refused.
    assert come("eve", busy=True)[1]
    assert idle.dropped
    assert not come("eve", busy=True)[1]
    others = 0
    while come(f"user{others // all_of_them.user_most}", busy=True)[1]:
        others += 1
    assert others == all_of_them.others_most - all_of_them.user_most
    assert all(come(ADMINISTRATOR, busy=True)[1] for _ in range(all_of_them.administrator_most))


def test_the_runtime_takes_as_many_descriptors_as_it_may(tmp_path: Path) -> None:
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 1024));"
        "from qsession_widget.runtime.http.middleware import connection_pool as pool;"
        "print(pool.raise_descriptor_limit(2), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    most, soft = map(int, done.stdout.split())
    assert soft == 1024
    assert 512 < most < soft
