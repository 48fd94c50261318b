"""One file a shape of model: how it is planned, forgotten from and replayed."""
