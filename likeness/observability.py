"""Logs: one JSON object a line, or readable lines on a terminal; never arguments, prompts or keys."""

import logging
import sys

import stamina.instrumentation
import structlog
from stamina.instrumentation import RetryDetails, RetryHookFactory

_log = structlog.get_logger()


def configure_logging() -> None:
    """Send structlog and the standard library's warnings to stderr in one format."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)
    if sys.stderr.isatty():
        render: list[structlog.typing.Processor] = [
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        ]
    else:
        render = [structlog.processors.ExceptionRenderer(tracebacks), structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler()
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[
        structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render,
    ]))  # fmt: skip
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    # Its own hook logs the arguments of the call, which can hold prompts and addresses.
    stamina.instrumentation.set_on_retry_hooks([RetryHookFactory(lambda: _say_retry)])


def _say_retry(details: RetryDetails) -> None:
    _log.warning(
        "retry", call=details.name, attempt=details.retry_num, wait_seconds=round(details.wait_for, 2),
        caused_by=type(details.caused_by).__name__,
    )  # fmt: skip
