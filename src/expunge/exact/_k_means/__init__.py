"""What `KMeans` is made of."""
