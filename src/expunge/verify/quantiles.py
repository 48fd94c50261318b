"""Quantiles of three distributions. scipy is imported when one is first asked for: names and judgements need none."""


def normal(p: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf(p))


def student(p: float, freedom: int) -> float:
    from scipy.stats import t

    return float(t.ppf(p, freedom))


def beta(p: float, a: float, b: float) -> float:
    from scipy.stats import beta as distribution

    return float(distribution.ppf(p, a, b))
