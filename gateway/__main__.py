"""Let ``python -m gateway`` do what the command ``botengang`` does."""

from gateway.cli import main

if __name__ == "__main__":
    main()
