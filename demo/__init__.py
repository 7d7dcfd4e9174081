"""A flash sale, played against the running stack and drawn. Run by script/demo."""
