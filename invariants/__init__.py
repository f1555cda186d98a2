"""The claims as tests, on really trained models."""
