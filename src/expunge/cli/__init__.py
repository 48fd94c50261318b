"""The story in a terminal. Data goes to stdout, words for people to stderr; imports are lazy, so `--help` is fast."""

import gc
import os
import sys
import warnings

_STOPPED = "stopped; repeat the same command to go on where it stopped"


def main() -> None:
    """Run the command line; errors become one sentence and an exit code."""
    # Little that imports make is garbage, and looking for it after every 700 objects takes a tenth of a light command.
    gc.set_threshold(50_000, 20, 20)
    from expunge.core.capability import pin_capability

    pin_capability()
    os.environ.setdefault("PYTHONWARNINGS", "ignore::FutureWarning")  # of transformers, in worker processes too
    warnings.filterwarnings("ignore", category=FutureWarning)
    from expunge.cli.app import app
    from expunge.cli.show import say
    from expunge.core.errors import ExpungeError

    try:
        code = app(standalone_mode=False)
    except ExpungeError as e:
        say(f"[bold red]error[/]: {_plain(e)}")
        sys.exit(e.exit_code)
    except KeyboardInterrupt:
        say(_STOPPED)
        sys.exit(130)
    except ModuleNotFoundError as e:
        if (e.name or "").startswith("expunge"):
            raise
        say(f"[bold red]error[/]: this needs '{e.name}', which is not installed; run `pip install 'expunge[all]'`")
        sys.exit(2)
    except Exception as e:
        if not hasattr(e, "show") and type(e).__name__ != "Abort":
            raise
        if hasattr(e, "show"):
            e.show()
        sys.exit(getattr(e, "exit_code", 2))
    if code == 130:  # typer turns Ctrl-C into this number
        say(_STOPPED)
    sys.exit(code if isinstance(code, int) else 0)


def _plain(error: Exception) -> str:
    from rich.markup import escape

    return escape(str(error))
