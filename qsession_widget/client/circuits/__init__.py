"""Circuits and pubs on their way to a service."""
