"""What `benchmarks/offline.py` is made of: players that are wrong in one way, their recordings, and peers."""
