"""`metaopt bench`: optimizers compared fairly, with equal budgets for tuning, at the end of training."""
