"""Services behind a network or a database, each through its own library, written to from a thread."""
