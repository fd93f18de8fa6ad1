"""Carries out what happens to the sessions and jobs of a runtime.

Calls go down, from the facade to the parts that it puts together::

    coordinator                      all that HTTP asks for
    |- admission                     takes new sessions and jobs
    |- ticker                        the scheduling loop: timers, then dispatch
    |- dispatcher                    from the queue through a worker to the end
    |- transitions                   each change: in memory, in the queues, in the store
    |- device_arbiter                grants the devices
    |- state                         owns the unfinished sessions and jobs; has the timers, the
    |                                notifier, and what is at hand of payloads and outcomes
    `- executor                      runs the jobs: worker_pool, or another one

Two loops go up again, through callbacks that the constructors are given::

    the scheduling loop              a change may let another job start

        any part --> WakeUp.request ~~ next turn of the event loop ~~> Coordinator._look
            ^                                                                  |
            `------------- transitions <-- dispatcher.dispatch <-- Ticker.look <'

    the event loop of a job          a worker says how far it has come

        dispatcher --> Executor.submit ~~ thread of the worker ~~> Coordinator._on_event
            ^                                                                  |
            `--------------------------------------- Dispatcher.receive <------'

Changes also come back from the store: `RuntimeState.write` returns a future that is done once the
change is on disk. `Admission` lets a new job go on then, and `Notifier` wakes the requests that
wait for the change.
"""
