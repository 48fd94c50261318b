"""What an edit keeps on disk while it runs, so that a kill costs little: said beforehand, since it can be more than the model."""

from dataclasses import dataclass

FULL = 4  # bytes of a float32, in which training goes on whatever the weights are kept in
MOMENTS = 2  # that the optimizer keeps of every weight


@dataclass(frozen=True, kw_only=True)
class OnDisk:
    """Bytes: one checkpoint, and all that may lie beside the result at once. Each file is written whole before it takes the
    place of the one before, so that of each there are two for a moment."""

    checkpoint: int
    most: int

    def sentence(self) -> str:
        """
        >>> on_disk(trained=135_000_000, stored=540_000_000, guard=True).sentence()
        'up to 4.9 GB of state while it runs: a checkpoint of 1.6 GB, at most every five minutes and every twentieth of the run'
        """
        return (
            f"up to {_gb(self.most)} of state while it runs: a checkpoint of {_gb(self.checkpoint)}, at most every five "
            "minutes and every twentieth of the run"
        )


def on_disk(*, trained: int, stored: int, guard: bool) -> OnDisk:
    """For so many weights that are trained, of a model of so many bytes; a guard keeps what it may go back to.

    A method of several stages keeps the weights of each that is finished, `stored` bytes more for every stage but the last.
    """
    checkpoint = trained * FULL * (1 + MOMENTS)
    return OnDisk(checkpoint=checkpoint, most=2 * checkpoint + (2 * stored if guard else 0) + stored)


def _gb(n: int) -> str:
    return f"{n / 1e9:.1f} GB" if n >= 1e8 else f"{n / 1e6:.1f} MB"
