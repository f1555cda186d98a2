"""Named errors. Everything the library raises on purpose is an `AceError`."""


class AceError(Exception):
    """Base of every error raised on purpose; its text says what was expected and what came."""


def first_line(error: Exception) -> str:
    """What an error of another library is, and the first line of what it says."""
    return f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')}"


class InputError(AceError, ValueError):
    """An argument has the wrong shape, type, width or content."""


class SiteError(AceError, LookupError):
    """A model has no such site, or no recognisable blocks at all."""


class InterventionError(AceError, RuntimeError):
    """An intervention did not do what it was asked to, for example its hook never fired."""


class SplitError(AceError, ValueError):
    """The same split of a task was used for two purposes that must stay apart."""


class ExtractorError(AceError, ValueError):
    """An extraction function returned something that is no core."""


class RecipeError(AceError, ValueError):
    """A recipe has missing, unknown or inconsistent entries."""


class ArtifactError(AceError, OSError):
    """A stored file is truncated, corrupt, foreign or from another schema."""


class EngineError(AceError, RuntimeError):
    """The processes or the cluster that work was shared out to are gone, or cannot run it."""


class NotTrained(AceError):
    """Weights that nobody has trained yet and that would take hours: nothing trains them without being asked to."""


class TokenizerError(ArtifactError):
    """A language model comes without a tokenizer that can be read."""


class ClaimError(AceError, LookupError):
    """No such claim, or a claim applied to a subject that it does not speak about."""


class Inapplicable(AceError):
    """A claim's precondition is not met; becomes the verdict INAPPLICABLE, never a failure."""
