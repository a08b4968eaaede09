"""What `python benchmarks/showdown.py` measures."""
