"""Scores of one answer or of one set of answers, each by its published definition."""
