"""Lets the tests here import their helpers (`interpreter`, `values`, `few_builtins`)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
