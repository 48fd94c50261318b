"""Edit, verify and benchmark a model folder, without a project."""
