"""Every error that the daemon raises, in one file; each message is for a person and names the remedy."""

from __future__ import annotations


class DaemonError(Exception):
    """Base of all daemon errors. `exit_code` is what the process leaves with."""

    exit_code = 1


class ConfigError(DaemonError):
    """An option or variable that makes no sense."""

    exit_code = 2


class AlreadyRunning(DaemonError):
    """Another daemon holds the lock of this socket."""

    exit_code = 3


class UnsafeDirectory(DaemonError):
    """A directory that must be ours alone is not."""

    exit_code = 4


class SnapshotError(DaemonError):
    """A published generation that cannot be read back, or one that cannot be written."""


class TransitionError(DaemonError):
    """A state machine was given an event that its state does not know: a mistake in this program."""
