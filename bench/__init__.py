"""Measures the service beside what people use instead, on the machine it runs on. Run by script/bench."""
