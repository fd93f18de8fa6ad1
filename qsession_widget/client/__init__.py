"""The Session core: what runs in the user's kernel."""
