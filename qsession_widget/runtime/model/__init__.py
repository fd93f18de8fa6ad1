"""Sessions and jobs, and the rules by which they change. Pure."""
