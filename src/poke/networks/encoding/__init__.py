"""Observations as numbers that layers take: parts, pictures, packed bytes, layouts of entities."""
