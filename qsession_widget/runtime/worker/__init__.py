"""What runs in a worker process; the only folder that imports Qiskit."""
