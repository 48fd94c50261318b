"""What `Forest` is made of."""
