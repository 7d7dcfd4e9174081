"""A live screen of a running service. Run by script/top."""
