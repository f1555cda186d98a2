"""Where subjects come from: the project's recipes and weights, anyone's language model, and anyone's training runs."""
