"""GANs whose discriminator carries a defense: models, training, samples and their metrics."""
