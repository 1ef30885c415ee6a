"""Lets the tests here import their helpers (`random_programs`, `reference`, `comparison`)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
