"""Options of primitives and of runs; their checks are derived from their annotations."""
