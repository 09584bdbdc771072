"""`python -m likeness`."""

from likeness.cli.main import main

if __name__ == "__main__":
    main()
