"""`python -m benchmarks.unstored`: a runtime that answers new jobs without storing them.

`benchmarks.server` compares durable submissions with it. In all else it is an ordinary runtime.
"""

from __future__ import annotations

import asyncio
import sys

from qsession_widget.runtime.command import main
from qsession_widget.runtime.store.store import Store
from qsession_widget.runtime.store.writes import AddJob, Write

_write = Store.write


def write(store: Store, change: Write) -> asyncio.Future[None]:
    """Report a new job as stored without storing it; store everything else."""
    if not isinstance(change, AddJob):
        return _write(store, change)
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    done.set_result(None)
    return done


if __name__ == "__main__":
    Store.write = write  # type: ignore[assignment] # this process is for nothing else
    sys.exit(main())
