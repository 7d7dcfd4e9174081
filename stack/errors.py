"""The exception of this package."""


class StackError(Exception):
    """A command cannot go on. The message tells the person who typed it what went wrong and what to do."""
