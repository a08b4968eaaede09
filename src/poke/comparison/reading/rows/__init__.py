"""The rows of one metrics file: its text, its numbers, and what a table needs of them."""
