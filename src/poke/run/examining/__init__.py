"""What is installed, and whether a run could begin here: asked of whatever may be broken, so imports nothing of it."""
