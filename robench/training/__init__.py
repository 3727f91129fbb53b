"""Training: one loop, standard and free adversarial steps."""
