"""Quantum programs: the jobs of `Executor`, and the form of primitives that some services take."""
