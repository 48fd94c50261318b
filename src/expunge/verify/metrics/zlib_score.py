"""Log-likelihood beside the length that a text compressor needs: what is easy to guess is no sign of membership."""

import zlib


def zlib_score(mean_logp: float, text: str) -> float:
    """Mean log-probability per token (nats) over the compressed length of the text (bytes). Higher: more likely a member.

    Source: Carlini et al. (2021), arXiv:2012.07805, Sec. 5.2, in the form of open-unlearning and MUSE, whose sign is the
    other one (mean NLL / length: higher, less likely a member).
    Means: lengths come from the zlib at hand, so scores of two machines may differ where their zlib does.

    >>> zlib_score(-2.0, "a") == -2.0 / 9
    True
    """
    return mean_logp / len(zlib.compress(text.encode()))
