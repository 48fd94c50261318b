"""What `KNeighbors` is made of."""
