"""The store: sessions, jobs and users in one SQLite file."""
