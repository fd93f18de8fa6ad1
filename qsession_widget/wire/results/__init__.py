"""Results in few characters, for lists of jobs."""
