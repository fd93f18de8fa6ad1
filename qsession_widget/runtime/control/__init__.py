"""Carries out what happens to sessions and jobs."""
