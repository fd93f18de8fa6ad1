"""What the model raises."""


class InvalidTransitionError(Exception):
    """A session or a job cannot change so from the state in which it is. Nothing was changed."""
