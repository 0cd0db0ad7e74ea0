"""Simulated model."""
