"""What recordings are, in memory and on disk: `poke.data.trajectories` reads and writes them."""
