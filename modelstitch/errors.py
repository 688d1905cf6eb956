"""The error that a user can mend."""


class ModelstitchError(Exception):
    """A mistake in the input or the surroundings, told in one line.

    The message names the place (file, key), the value, what was expected and what to do. Programs print it without a
    traceback and exit with 1.
    """
