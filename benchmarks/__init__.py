"""Measurements against peers. Each module prints a table and can write it as JSON."""
