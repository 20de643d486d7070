"""Cases that print one JSON line each: the name, and what went wrong if something did."""

import json
import traceback

cases = []


def case(function):
    cases.append(function)
    return function


def raises(kind, text, call):
    try:
        call()
    except kind as error:
        assert text.lower() in str(error).lower(), f"{text!r} is not in {error!s}"
        return error
    raise AssertionError(f"nothing was raised where {kind.__name__} was expected")


def equal(found, wanted):
    assert found == wanted, f"{found!r} is not {wanted!r}"


def run():
    for one in cases:
        result = {"name": one.__name__.replace("_", " ")}
        try:
            one()
        except Exception:  # whatever it is, it is the result of this case
            result["error"] = traceback.format_exc()
        print(json.dumps(result), flush=True)
