"""Configs: composed by Hydra, checked against dataclasses, answered in one line. Imports no torch."""
