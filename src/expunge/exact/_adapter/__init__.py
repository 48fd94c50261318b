"""What `AdapterShards` is made of."""
