"""`python -m cli`: the `trailgate` command, for installations without the launcher."""

from cli.main import main

if __name__ == "__main__":
    main()
