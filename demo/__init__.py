"""A simulated flash sale on the running stack. Run by script/demo."""
