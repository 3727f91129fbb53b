"""Evaluation: attacks and samples in, per-sample outcomes out."""
