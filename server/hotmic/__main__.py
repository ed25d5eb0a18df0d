"""``python -m hotmic``."""

from hotmic.cli import main

if __name__ == "__main__":
    main()
