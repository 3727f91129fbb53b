"""Forgeries: one field of a published folder changed, and all that follows from it made to agree.

``draft`` is the folder that a forger works on, ``fields`` lists what he can change, ``consistent``
makes hashes, file names and tables agree again with robench's own code, and ``declared`` says what
nobody can find out from a published folder.
"""
