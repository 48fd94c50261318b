import numpy as np
import pytest
import torch

from expunge.core.noise import SECRET_BYTES, new_secret, noise_words


def noise(secret: bytes) -> list[float]:
    return list(np.random.default_rng(noise_words(secret, "noise")).standard_normal(4))


@pytest.mark.parametrize("kept", [4, 8])
def test_noise_is_no_function_of_a_part_of_its_secret(kept: int) -> None:
    """Neither its first bytes nor its last decide it, whichever of the others change."""
    secret = bytes(range(SECRET_BYTES))
    for at in range(SECRET_BYTES):
        other = bytearray(secret)
        other[at] ^= 1
        assert noise(bytes(other)) != noise(secret)
    for part in (secret[:kept], secret[-kept:]):
        assert noise(part) != noise(secret)
        assert noise(part.rjust(SECRET_BYTES, b"\0")) != noise(secret)


def test_a_generator_that_reads_32_bits_of_its_seed_is_found_out() -> None:
    """The control: what noise of a certificate must not be drawn from."""
    seed = (1 << 62) + 12345
    whole, low = (torch.randn(4, generator=torch.Generator().manual_seed(s)) for s in (seed, seed & 0xFFFFFFFF))
    assert torch.equal(whole, low)


def test_secrets_are_256_bits_and_never_the_same() -> None:
    assert len({new_secret() for _ in range(100)}) == 100
    assert {len(new_secret()) for _ in range(3)} == {32}


def test_another_use_of_the_same_secret_has_other_noise() -> None:
    assert noise_words(b"secret", "a") != noise_words(b"secret", "b")


def test_128_bits_of_it_reach_the_generator() -> None:
    words = noise_words(new_secret(), "noise")
    assert np.random.SeedSequence(words).pool_size * 32 >= 128
    assert len({tuple(np.random.SeedSequence(words[:k] + [0] * (4 - k)).pool) for k in range(5)}) == 5
