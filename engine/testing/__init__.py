"""Runs the `test_*` rules of policies: finding them, evaluating, explaining failures, counting coverage.

It must not read files or print; the command line does both.
"""
