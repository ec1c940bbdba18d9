"""``python -m minifer`` is the command ``minifer``."""

import sys

__all__ = ["main"]


def main():
    """Run the command line; Ctrl-C ends it while it is still being imported, too."""
    try:
        from .commands.cli import main
    except KeyboardInterrupt:
        sys.exit(130)
    main()


if __name__ == "__main__":
    main()
