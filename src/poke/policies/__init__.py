"""What acts: a network, what its inputs and outputs mean, and how it is loaded and handed on."""
