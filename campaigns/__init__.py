"""Campaigns: how often does something go wrong, in many random trials of one kind?

    python -m campaigns.forgeries --trials 1000 --seed 0

Each module is one campaign. It prints what was tried and what failed, by kind, and ends with exit
code 1 if something failed. Small versions of them are tests, in ``tests/campaigns``.
"""
