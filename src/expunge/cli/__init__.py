"""The story in a terminal. Data goes to stdout, words for people to stderr; imports are lazy, so `--help` is fast."""

import gc
import os
import sys
import traceback
import warnings

_INTERRUPTED, _UNEXPECTED = 130, 70


def main() -> None:
    """Run the command line; errors become one sentence and an exit code."""
    # Little that imports make is garbage, and looking for it after every 700 objects takes a tenth of a light command.
    gc.set_threshold(50_000, 20, 20)
    from expunge.core.capability import pin_capability

    pin_capability()
    os.environ.setdefault("PYTHONWARNINGS", "ignore::FutureWarning")  # of transformers, in worker processes too
    warnings.filterwarnings("ignore", category=FutureWarning)
    from expunge.cli.app import app

    try:
        code = app(standalone_mode=False)
    except (Exception, KeyboardInterrupt) as e:  # noqa: BLE001 - each gets its sentence and its exit code
        sys.exit(_told(e))
    if code == _INTERRUPTED:  # typer turns Ctrl-C into this number
        _told(KeyboardInterrupt())
    sys.exit(code if isinstance(code, int) else 0)


def _told(error: BaseException) -> int:
    """Say what happened in one sentence, and return the exit code for it."""
    from expunge.cli.show import say
    from expunge.cli.visible import visible
    from expunge.core.errors import ExpungeError
    from expunge.core.refusals import explained

    if isinstance(error, KeyboardInterrupt):
        say("stopped; repeat the same command to go on where it stopped")
        return _INTERRUPTED
    if os.environ.get("EXPUNGE_TRACEBACK"):
        traceback.print_exception(error)
    if known := error if isinstance(error, ExpungeError) else explained(error):
        say(("error", "bold red"), f": {known}")
        return known.exit_code
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("expunge"):
        say(
            ("error", "bold red"),
            f": this needs '{error.name}', which is not installed; run `pip install 'expunge[all]'`",
        )
        return 2
    if hasattr(error, "show"):  # of the arguments
        vars(error)["message"] = visible(getattr(error, "message", ""))
        error.show()
        return int(getattr(error, "exit_code", 2))
    if type(error).__name__ == "Abort":
        return 2
    # Not its text, which may quote whose data it was about.
    say(
        ("error", "bold red"),
        f": an unexpected {type(error).__name__}, which is a fault of Expunge; repeat the command with EXPUNGE_TRACEBACK=1 to see "
        "where, and report it",
    )
    return _UNEXPECTED
