"""What the transfer to a worker process and back adds to a job, and what is sent.

The same program runs in this process and through the worker pool, in turn; the difference is the
cost of the transfer. A distributed engine would add its own.
"""

from __future__ import annotations

import asyncio
import warnings
from functools import partial
from typing import Any

import numpy as np
from msgspec import msgpack
from qiskit import generate_preset_pass_manager
from qiskit.circuit.library import real_amplitudes

from benchmarks.loops import SHOTS, official_device
from benchmarks.measure import arguments, as_json, compare, in_turn, write
from qsession_widget.runtime.control.worker_pool import WorkerPool
from qsession_widget.runtime.worker import primitives
from qsession_widget.runtime.worker.messages import Done, Event, Task
from qsession_widget.wire import codec

DEVICE = "fake_manila"
HERE = "in this process"
THERE = "through the executor"


class Handing:
    """A pool with one worker, and the waiting for its events."""

    def __init__(self, params: str) -> None:
        self.task = Task("job", "session", "sampler", params, DEVICE, 1, 0.0)
        self.loop = asyncio.new_event_loop()
        self.done: asyncio.Future[Event] = self.loop.create_future()
        self.executor = WorkerPool(1, self._receive)
        self.loop.run_until_complete(self._start())

    async def _start(self) -> None:
        self.executor.start()

    def _receive(self, _job_id: str, _attempt: int, event: Event) -> None:
        if isinstance(event, Done):
            self.done.set_result(event)

    def run(self, _round: int = 0) -> Event:
        """Run the task in the worker."""
        self.done = self.loop.create_future()
        self.executor.submit(self.task)
        return self.loop.run_until_complete(self.done)


def main() -> None:
    """Print a table, and the sizes of the frames."""
    given = arguments(__doc__ or "").parse_args()
    warnings.simplefilter("ignore")
    bare = real_amplitudes(5, reps=2)
    bare.measure_all()
    backend = official_device(DEVICE)
    circuit = generate_preset_pass_manager(1, backend=backend, seed_transpiler=0).run(bare)
    values = np.linspace(0.1, 3.0, circuit.num_parameters)
    params = codec.dumps({"pubs": [[circuit, values, SHOTS]], "options": {}, "version": 2})
    handing = Handing(params)
    here = partial(
        primitives.run,
        "sampler",
        params,
        DEVICE,
        optimization_level=1,
        on_interim=lambda _text: None,
    )
    contestants: dict[str, Any] = {HERE: lambda _round: here(), THERE: handing.run}
    samples = in_turn(contestants, rounds=30 if given.short else 200, seconds_each=20, warm_up=5)
    last = handing.run()
    handing.executor.stop()
    compare(f"one job of 5 qubits on {DEVICE}", samples, HERE)
    both = {each.name: each for each in samples}
    more = [
        both[THERE].milliseconds[each] - both[HERE].milliseconds[each]
        for each in both[HERE].milliseconds
    ]
    frames = {
        "task, bytes": len(msgpack.encode(handing.task)),
        "answer, bytes": len(msgpack.encode(last)) if isinstance(last, Done) else 0,
        "handing over, ms (median)": float(np.median(more)),
    }
    for name, value in frames.items():
        print(f"{name:<28}{value:10.4g}")
    write(given.json, {"dispatch": as_json(samples), "frames": [frames]})


if __name__ == "__main__":
    main()
