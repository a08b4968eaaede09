"""Sweeps that finish: each job has one directory, is run once, and goes on where it was stopped. Imports no torch."""
