"""The command line: one module a command; each parses flags, calls down, prints and sets the exit code."""
