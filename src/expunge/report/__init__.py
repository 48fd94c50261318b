"""Evidence → one page for people: self-contained HTML with SVG figures, readable on a screen and printable on A4.

Computes nothing new: it formats what was measured elsewhere, and says "UNKNOWN" or "not run" where nothing was.
"""

from expunge.report.render import page
from expunge.report.table import summary_rows

__all__ = ["page", "summary_rows"]
