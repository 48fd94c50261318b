"""What every tabular learner shares."""
