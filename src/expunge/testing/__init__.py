"""Toy models and the contract that every method keeps; shipped, so that methods written elsewhere can run it too."""
