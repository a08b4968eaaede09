"""The runner's machinery: loop, logging, checkpoints, run directory. Knows no algorithm and no environment."""
