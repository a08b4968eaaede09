"""What is done with a run that is there: replayed, exported, recorded, its checkpoints managed."""
