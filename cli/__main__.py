"""`python -m cli`: the `trailgate` command where no launcher was installed."""

from cli.main import main

if __name__ == "__main__":
    main()
