"""The story end to end: the steps of a request, training and adopting models, the demo. Knows all other rooms."""
