"""Sweeps: many trainings of one kind that differ in modulus, weight decay and seed, and when each generalises."""
