"""`python -m domainflow`: the command line, under a name that needs no installed script."""

from domainflow.cli import main

if __name__ == "__main__":
    main()
