"""A live screen with the figures of a running service. Run by script/top."""
