"""The one exception of this package: something a person has to read and act on."""


class StackError(Exception):
    """What went wrong and what to do next, in words for whoever typed the command."""
