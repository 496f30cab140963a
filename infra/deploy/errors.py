"""What ends a step."""


class DeployError(Exception):
    """A step cannot go on; the message says what was wrong and what to do. It never holds a key or a signed URL."""
