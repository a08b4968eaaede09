"""Modules built from plain arguments."""
