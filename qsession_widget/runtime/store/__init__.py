"""Sessions and jobs on disk."""
