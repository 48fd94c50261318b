"""Sums over records that records can be taken out of again, exactly."""
