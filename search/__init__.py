"""The engine: evolution of update rules, its campaigns, and the command line."""
