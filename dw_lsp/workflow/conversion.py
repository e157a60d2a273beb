"""A caller's value as the type of the variable's default: what `NAME=VALUE` and a parent workflow hand in."""

from __future__ import annotations

from dw_lsp.text.syntax_tree import Value
from dw_lsp.workflow.resolved import InvalidInput

LONGEST_TEXT = 20_000
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


def convert(name: str, value: Value, default: Value) -> Value:
    """The value as the default's type. A default of null takes any value as it is.

    Raises `InvalidInput` naming the variable, for a value that cannot be converted or is no acceptable text.
    """
    _check_text(name, value)
    if default is None or value is None:
        return value
    if isinstance(default, bool):
        return _boolean(name, value)
    if isinstance(default, int):
        return _whole(name, value)
    if isinstance(default, float):
        return _fraction(name, value)
    if isinstance(default, str):
        return _text(name, value)
    if isinstance(default, list):
        return _list(name, value)
    if isinstance(value, (dict, str)):
        return value
    raise _refused(name, value, "an object, a path or a reference")


def _boolean(name: str, value: Value) -> Value:
    if isinstance(value, bool) or _is_reference(value):
        return value
    text = str(value).strip().lower() if isinstance(value, (str, int)) else ""
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise _refused(name, value, "true or false")


def _whole(name: str, value: Value) -> Value:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _refused(name, value, "a whole number")
    if _is_reference(value):
        return value
    try:
        number = int(value) if isinstance(value, (int, str)) else value
    except ValueError:
        raise _refused(name, value, "a whole number") from None
    if isinstance(number, float):
        if not number.is_integer():
            raise _refused(name, value, "a whole number (give the variable a default such as 1.0 to allow fractions)")
        return int(number)
    return number


def _fraction(name: str, value: Value) -> Value:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _refused(name, value, "a number")
    if _is_reference(value):
        return value
    try:
        return float(value)
    except ValueError:
        raise _refused(name, value, "a number") from None


def _text(name: str, value: Value) -> str:
    if isinstance(value, (dict, list)):
        raise _refused(name, value, "text")
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _list(name: str, value: Value) -> Value:
    if isinstance(value, list):
        return value
    if isinstance(value, str):
        return value if _is_reference(value) else [part.strip() for part in value.split(",")]
    raise _refused(name, value, "a list, or text with commas")


def _is_reference(value: Value) -> bool:
    return isinstance(value, str) and value.startswith(("previous_result:", "variable:"))


def _check_text(name: str, value: Value) -> None:
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            raise InvalidInput(f"variable {name!r}: {len(value)} characters are too many; {LONGEST_TEXT} is the limit")
        if any(ord(character) < 32 and character not in "\t\n\r" for character in value):
            raise InvalidInput(f"variable {name!r}: the text has a control character in it; remove it")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_text(name, part)


def _refused(name: str, value: Value, wanted: str) -> InvalidInput:
    shown = str(value) if len(str(value)) <= 60 else str(value)[:60] + "..."
    return InvalidInput(f"variable {name!r}: {shown!r} is not {wanted}")
