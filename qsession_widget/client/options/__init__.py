"""Options of jobs, and how they are checked."""
