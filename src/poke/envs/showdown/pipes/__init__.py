"""Python's side of the node workers: many battles at a time, and lines of battles that are played elsewhere."""
