"""What an attack is built from: losses, threat models, random numbers, batching, state."""
