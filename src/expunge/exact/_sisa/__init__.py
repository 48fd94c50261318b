"""What `Sisa` is made of."""
