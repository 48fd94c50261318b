"""Evidence → one page for people: self-contained HTML with SVG figures, readable on a screen and printable on A4.

Computes nothing new: it formats what was measured elsewhere, and says "UNKNOWN" or "not run" where nothing was.
"""

from expunge.report.audit_page import audit_page
from expunge.report.render import page
from expunge.report.table import summary_rows

__all__ = ["audit_page", "page", "summary_rows"]
