"""Training: one loop, with standard and free adversarial training methods."""
