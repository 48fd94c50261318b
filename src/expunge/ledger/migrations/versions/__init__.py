"""One file per revision, named after it. A released revision is never edited."""
