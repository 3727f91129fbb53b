"""The zoo: models that look robust and are not, and models that are what they look like.

Each file of ``false`` and of ``honest`` is one model. ``benchmarks/checks.py`` measures on them how
often the checks are right. A model can also be attacked by itself::

    robench attack --model benchmarks/zoo/false/kwta.py:build --data mnist5k --checks
"""
