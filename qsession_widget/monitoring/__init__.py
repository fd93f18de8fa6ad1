"""A session at one moment, and the thread that takes such snapshots."""
