"""Runs jobs on other machines, through a Dask cluster: `qsession serve --executor dask://HOST:PORT`.

Dask brings what the runtime lacks, connections and membership, and decides nothing. Each Dask
worker holds one `WorkerHost` for this runtime, with worker processes as a single machine has::

    server                                   a host
    DaskExecutor                             Dask worker
    |- Membership  <-- scheduler: who is there --|
    `- HostLink    -- take(commands) -->     WorkerHost
                   <-- tell(events) --       |- WorkerPool(1) -- process
                                             `- WorkerPool(1) -- process

A host has a lease, which each call of `tell` renews. One that hears nothing for the length of the
lease ends its processes; the server takes it for lost a little later, and runs its jobs again.
So a job ends exactly once. It is computed twice only if the network is cut for longer than the
lease.

Only `executor` and `__main__` import Dask.
"""
