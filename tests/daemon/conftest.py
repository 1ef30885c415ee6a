"""Puts this folder's helper module within reach of its tests; nothing else."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
