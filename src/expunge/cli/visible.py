"""Text that others wrote, as it may go to a terminal: it cannot move the cursor, hide a line or begin a new one."""

from unicodedata import category

# Control characters, invisible ones that change how others are shown or ordered, halves of pairs, ends of lines.
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def visible(text: str) -> str:
    r"""The text with every character that a terminal would act on, or not show, written out.

    >>> print(visible("ok\x1b[8m\r\n"), visible("\u202eevil\u2028"))
    ok\x1b[8m\x0d\x0a \u202eevil\u2028
    """
    if text.isprintable():  # none of these is
        return text
    return "".join(_written_out(c) if category(c) in _HIDDEN else c for c in text)


def _written_out(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
