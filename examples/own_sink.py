"""A sink of your own: every row of metrics as a line of JSON, in the run's directory.

    python examples/own_sink.py logger.mine.location=rows.jsonl

is the same, in this folder, as

    python -m poke.train debug=fast +logger.mine._target_=own_sink.JsonLines +logger.mine.location=rows.jsonl
"""

import json
import sys

from poke.protocols import WriterDefaults
from poke.train import main


class JsonLines(WriterDefaults):
    """Lines of JSON; its place is given by the run, every other argument is a key under its node of logger."""

    def __init__(self, location, *, indent: int | None = None):
        self.file = open(location, "a+b")
        self.indent = indent

    def write(self, metrics, step, category):
        row = {"step": step, "category": category, **metrics}
        self.file.write(json.dumps(row, indent=self.indent).encode() + b"\n")

    def flush(self):
        self.file.flush()

    def close(self):
        self.file.close()

    def get_state(self):
        self.file.flush()
        return {"length": self.file.tell()}

    def set_state(self, state):
        self.file.truncate(state["length"])  # rows after the checkpoint are written again


if __name__ == "__main__":
    own = ["+logger.mine._target_=own_sink.JsonLines", "+logger.mine.location=rows.jsonl"]
    sys.exit(main(["debug=fast", *own, *sys.argv[1:]]))
