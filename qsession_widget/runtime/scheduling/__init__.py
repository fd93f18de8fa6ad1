"""Decides which job starts next. Pure: no clock, no I/O."""
