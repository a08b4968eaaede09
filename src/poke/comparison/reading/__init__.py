"""What is on disk: run directories found, parsed, summed up and remembered."""
