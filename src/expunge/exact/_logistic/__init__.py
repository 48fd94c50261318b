"""What `LogisticRegression` is made of."""
