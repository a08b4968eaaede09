"""The terminal: a table of the key metrics and a progress bar, on a stream that may go away."""
