"""A copy of the project whose stack runs, shared by the tests of this folder."""

from tests.project_copy import copy

__all__ = ["copy"]
