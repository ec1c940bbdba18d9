"""``python -m minifer`` is the command ``minifer``."""

from .commands.cli import main

if __name__ == "__main__":
    main()
