"""Reads run directories and nothing else of poke."""
