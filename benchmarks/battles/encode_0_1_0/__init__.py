"""How poke 0.1.0 observed battles, from poke-env's Battle in Python: kept as a peer to measure against."""
