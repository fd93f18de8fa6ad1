"""Reads what a job asks for: its pubs, shots and seeds."""
