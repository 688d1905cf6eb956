"""The error for mistakes that a user can mend, and helpers for messages of other libraries' errors."""


class ModelstitchError(Exception):
    """A mistake in the input or the environment, told in one line.

    The message names the place (file, key), the value, what was expected and what to do. Programs print it without a
    traceback and exit with 1.
    """


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type if it has no message."""
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    lines = text.strip().splitlines()
    return lines[0] if lines else type(error).__name__


def printable(text: str) -> str:
    """A text from a file (a member's name, a key) with its control characters spelled out: `\\x1b`."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
