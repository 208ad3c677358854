"""What several methods share: matrices in parameters, roles, linear algebra, storage."""
