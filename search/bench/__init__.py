"""`metaopt bench`: optimizers compared with equal budgets for tuning, at the end of training."""
