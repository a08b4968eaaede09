"""What value-based algorithms share: critics, their targets and losses, and operators that heed masks."""
