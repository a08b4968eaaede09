"""Battles of a person against a policy, in a browser on this machine. Imports no torch; `game` brings poke-env."""
