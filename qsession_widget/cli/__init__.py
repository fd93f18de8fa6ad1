"""The command line: `qsession`."""
