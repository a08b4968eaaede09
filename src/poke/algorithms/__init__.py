"""Losses and updates. No files, no logging, no config."""
