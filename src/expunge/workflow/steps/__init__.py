"""One file a step of a request."""
