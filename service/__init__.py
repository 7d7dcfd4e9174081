"""The HTTP service."""

__version__ = "0.10.0"
