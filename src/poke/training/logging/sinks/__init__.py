"""From a row to the writers: in order, each with failures of its own, those of services from a thread."""
