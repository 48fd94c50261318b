"""The project directory: its files, events, sealed facts, canaries, and who leaves."""
