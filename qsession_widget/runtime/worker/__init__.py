"""What runs in a worker process; the only folder of the runtime that imports Qiskit.

The process: `main` is its loop, `messages` what it exchanges with the server, `programs` finds the
program of a job, `outcome` is how one ends, `progress` tells its stages, and `limits` and `sandbox`
bound it.

The programs: `primitives` runs `sampler` and `estimator`; `executor_program` and
`noise_learner_program` are two more. `inputs` reads what a job asks for, `results` turns counts and
shots into results.

The device: `device` makes circuits ready for a recorded device and keeps all that is kept between
jobs (`device.caches`); `aer` runs them, with the noise of `noise`.
"""
