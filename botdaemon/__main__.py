"""``python -m botdaemon``: the command line, for where the script is not on the path."""

from botdaemon.cli import main

main(prog_name="botdaemon")
