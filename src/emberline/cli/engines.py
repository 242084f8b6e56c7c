"""The options by which a command is told where its array work runs."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

if TYPE_CHECKING:
    from emberline.engine import Engine

__all__ = ["EngineChoice", "engine_options"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclasses.dataclass(frozen=True)
class EngineChoice:
    """What was asked for."""

    name: str
    master: str | None
    settings: tuple[str, ...]

    @contextlib.contextmanager
    def started(self, workers: int | None = None) -> Iterator[Engine | None]:
        """The engine for the length of a block; None where nothing but the default was asked for."""
        if self.name == "local" and not self.master and not self.settings:
            yield None
            return
        from emberline.engine import open_engine

        pairs = [text.partition("=") for text in self.settings]
        settings = {name.strip(): value.strip() for name, _, value in pairs}
        with open_engine(self.name, self.master, workers=workers, settings=settings) as engine:
            yield engine


def _checked(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for text in values:
        if "=" not in text or not text.strip().startswith("spark."):
            raise click.BadParameter(f"expected spark.NAME=VALUE, found {text!r}", context, parameter)
    return values


def engine_options(command: F) -> F:
    """Give a command ``--engine``, ``--master`` and ``--spark-conf``, which it gets as an `EngineChoice` `engine`."""

    @click.option(
        "--engine",
        type=click.Choice(["local", "spark"]),
        default="local",
        show_default=True,
        help="Where the work is done: processes of this machine, or Spark. The results are the same.",
    )
    @click.option("--master", metavar="URL", help="Spark's master: local[2], spark://HOST:7077, yarn, k8s://….")
    @click.option(
        "--spark-conf",
        metavar="NAME=VALUE",
        multiple=True,
        callback=_checked,
        help="One of Spark's own settings, such as spark.executor.memory=4g; may be repeated.",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, engine: str, master: str | None, spark_conf: tuple[str, ...], **options: Any) -> Any:
        return command(*args, engine=EngineChoice(engine, master, spark_conf), **options)

    return cast(F, wrapped)
