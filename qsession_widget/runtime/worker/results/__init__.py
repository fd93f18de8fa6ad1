"""From counts and shots to a result."""
