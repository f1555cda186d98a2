"""Small transformers, recipes, the ensemble trainer and its checkpoints."""
