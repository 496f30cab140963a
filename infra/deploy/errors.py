"""The errors that end a step."""


class DeployError(Exception):
    """A step cannot continue; the message says what is wrong and what to do. It never holds a key or a signed URL."""


class PendingError(DeployError):
    """Something is not ready yet; waiting may help."""
