"""Experience: demonstrations, rollouts, replay."""
