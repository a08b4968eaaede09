"""The record: metrics.csv and train.log, written at once and repaired from memory after a momentary error."""
