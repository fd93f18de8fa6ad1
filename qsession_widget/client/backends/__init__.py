"""Backends, what is recorded about them, and searching them."""
