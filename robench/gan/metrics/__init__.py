"""How far samples are from images, in the features of a network.

FID, KID and inception score are those of Inception's features alone, computed by torch-fidelity;
the same distances in other features are called after their network.
"""
