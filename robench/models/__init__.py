"""Networks: building, applying a defense, saving and loading, freezing under attack."""
