"""Training: one loop for all training methods, which are entries."""
