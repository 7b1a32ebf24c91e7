"""``python -m pdwatch`` is the command ``pdwatch``."""

from pdwatch.cli.main import main

if __name__ == "__main__":
    main()
