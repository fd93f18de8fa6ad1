"""What the model raises."""


class InvalidTransitionError(Exception):
    """A session or a job cannot make this transition in its present state. Nothing changed."""
