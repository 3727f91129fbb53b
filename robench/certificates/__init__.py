"""Certificates: radii within which no image changes the prediction, from Lipschitz bounds."""

from robench.certificates.certificate import Certificate, certify

__all__ = ["Certificate", "certify"]
