"""Building blocks of attacks: losses, threat models, random numbers, batching, state."""
