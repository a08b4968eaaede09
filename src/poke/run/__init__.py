"""The life of one run: its directory, its parts, and how it begins, goes on and ends."""
