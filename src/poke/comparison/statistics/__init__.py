"""What it means: groups over seeds, estimates with intervals, tables."""
