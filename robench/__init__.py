"""robench: adversarial-robustness benchmark for normalization layers."""
