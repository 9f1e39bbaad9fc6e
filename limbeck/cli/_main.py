"""The one place that turns errors into words and exit codes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from contextlib import suppress

from limbeck.cli._streams import drop_output, flush_output, note, settle_streams, write_json
from limbeck.errors import ContractError, LimbeckError, MachineError, SettingsError
from limbeck.system_errors import machine_errors

DONE, FAILED, WRONG_COMMAND, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: The words after `limbeck`; those of the process if not given.

    Returns:
        The exit code: 0 done, 1 the run failed, 2 the command or its settings are wrong, 130
        interrupted.
    """
    try:
        settle_streams()
        return _run(list(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:  # another one, while the first was being told
        return INTERRUPTED


def _run(words: list[str]) -> int:
    """Runs one command and words its errors."""
    from cyclopts import CycloptsError

    from limbeck.cli._app import build_app

    as_json, debug = "--json" in words, "--debug" in words
    with _log_to_stderr():
        try:
            with machine_errors():
                result = build_app(words)(
                    words,
                    exit_on_error=False,
                    print_error=False,
                    result_action="return_value",
                )
                if as_json and result is not None:
                    write_json(result)
                flush_output()
            return DONE
        except CycloptsError as error:
            hint = f"See: limbeck {' '.join([*(error.command_chain or ()), '--help'])}"
            return _fail(WRONG_COMMAND, error, f"{error}\n{hint}", as_json=as_json, debug=debug)
        except SettingsError as error:
            return _fail(WRONG_COMMAND, error, str(error), as_json=as_json, debug=debug)
        except LimbeckError as error:
            return _fail(FAILED, error, str(error), as_json=as_json, debug=debug)
        except KeyboardInterrupt as error:
            message = str(error) or "interrupted"
            return _fail(INTERRUPTED, error, message, as_json=as_json, debug=debug)
        except BrokenPipeError:
            # Whoever read our output has gone, as in `limbeck list tasks | head -1`. What Python
            # still holds back must not be written at exit either.
            drop_output()
            return DONE
        except Exception as error:  # the one place; all code below says what it expects
            message = (
                f"{type(error).__name__}: {error}\nThis is not an error Limbeck foresaw. "
                "Run again with --debug for where it happened."
            )
            return _fail(FAILED, error, message, as_json=as_json, debug=debug)


def _fail(code: int, error: BaseException, message: str, *, as_json: bool, debug: bool) -> int:
    if debug:
        import traceback

        note("".join(traceback.format_exception(error)).rstrip("\n"))
    note(f"limbeck: {message}")
    if as_json:
        found = {"result": error.result.to_dict()} if isinstance(error, ContractError) else {}
        said = {"type": type(error).__name__, "message": message, "code": code}
        with suppress(MachineError, BrokenPipeError):  # which may be what is to be told
            write_json({"error": said, **found})
    return code


class _StderrHandler(logging.Handler):
    """Writes records as plain lines; finds stderr anew each time, since progress bars wrap it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record."""
        note(f"{record.levelname.lower()}: {record.getMessage()}")


class _log_to_stderr:  # noqa: N801 - used as a verb
    """Shows the package's log records while a command runs."""

    def __enter__(self) -> None:
        self._handler = _StderrHandler(logging.INFO)
        self._logger = logging.getLogger("limbeck")
        self._level = self._logger.level
        self._logger.addHandler(self._handler)
        self._logger.setLevel(logging.INFO)

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self._handler)
        self._logger.setLevel(self._level)
