"""Every error that trust raises, in one file. Each message names the file, what was expected and the remedy."""

from __future__ import annotations


class TrustError(Exception):
    """Base: the project is not in the state that was signed, or that cannot be shown. Fail closed."""


class NotInitialised(TrustError):
    """The project has never been put under trust."""


class ManifestMissing(TrustError):
    """Trust is on for the project, but its manifest is gone."""


class ManifestInvalid(TrustError):
    """The manifest is no manifest of ours: not JSON, wrong format, wrong types."""


class ManifestForged(TrustError):
    """The signature does not fit the bytes and our key."""


class Rollback(TrustError):
    """The manifest is older than the last one that was accepted."""


class Expired(TrustError):
    """The manifest's expiry has passed."""


class WrongProject(TrustError):
    """The manifest was signed for another project."""


class FileChanged(TrustError):
    """A file's bytes are not the signed ones. `path`, `expected` and `actual` digests are attributes."""

    def __init__(self, path: str, expected: str, actual: str) -> None:
        self.path, self.expected, self.actual = path, expected, actual
        super().__init__(
            f"{path} is not the file that was signed: expected sha256 {expected}, found {actual}. "
            "If you changed it yourself, look at the change and run: cupcake trust update"
        )


class FileNotTrusted(TrustError):
    """A file that takes part in decisions is not in the manifest."""


class FileMissing(TrustError):
    """A signed file is gone."""


class KeyUnusable(TrustError):
    """The key file is missing, readable by others, not ours, or not 32 bytes."""
