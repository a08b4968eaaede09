"""Pokemon battles on Pokemon Showdown's simulator."""
