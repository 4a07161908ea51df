"""The entry of the toolkit: `python lbk_entry.py <command>`; see `python lbk_entry.py --help`."""

from collavo.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
