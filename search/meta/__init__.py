"""Meta-training: learned optimizers trained on tasks."""
