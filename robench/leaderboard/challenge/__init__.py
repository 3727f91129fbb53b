"""Adversarial images that somebody found elsewhere, and which lower the figure of a row.

``given`` reads them, ``fooling`` says which of them keep to the ball and fool a network, ``record``
publishes them with the board as files of the form of ``files``. Whether a published board's
challenges hold is checked by :mod:`robench.leaderboard.audit.challenges` and, with images and
weights, by :mod:`robench.leaderboard.rerun.challenges`.
"""
