"""Commands on tables of features and predictions: predict, query."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

from emberline.cli.engines import EngineChoice, engine_options
from emberline.cli.output import json_option, show
from emberline.learn.config import Precision, PredictConfig, RuntimeName

__all__ = ["predict", "query"]

_model_option = click.option(
    "--model",
    required=True,
    type=click.Path(path_type=Path),
    help="A network's file, as CAMPAIGN/models/round-003.model.",
)


@click.command(epilog="Example: emberline predict hdfs:///dr2/features --model be.model --out hdfs:///dr2/be")
@click.argument("tables", nargs=-1, required=True)
@_model_option
@click.option("--out", required=True, help="The new folder of the predictions; with Spark also an address.")
@click.option(
    "--runtime",
    type=click.Choice(get_args(RuntimeName)),
    default="auto",
    show_default=True,
    help="What computes; auto takes the fastest that is installed wherever the tables are read, by a measurement.",
)
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default="auto",
    show_default=True,
    help="With which numbers; auto is mixed where that is faster and agrees within 0.01, else fp32.",
)
@engine_options
@json_option
def predict(
    tables: tuple[str, ...],
    model: Path,
    out: str,
    runtime: RuntimeName,
    precision: Precision,
    engine: EngineChoice,
    as_json: bool,
) -> None:
    """Let a network read tables of features.

    TABLES are Parquet files, or folders of them, that `emberline features --table` wrote; with --engine spark they may
    be addresses that Spark's readers know, such as hdfs://host/folder and s3a://bucket/folder. The predictions are
    Parquet: identifier, flagged, model, and the probability of each class. Tables under 50,000 spectra are read by
    PyTorch in fp32 unless something else is asked for. Campaigns read their own pool: see `emberline campaign predict`.
    """
    from emberline.campaign.tables import predict_tables
    from emberline.engine import LocalEngine

    with engine.started() as where:
        config = PredictConfig(runtime, precision)
        result = predict_tables(model, tables, out, config=config, engine=where or LocalEngine())
    show(result, as_json=as_json, text=_predict_text)


def _predict_text(result: dict[str, Any]) -> str:
    by = f"{result['runtime']} in {result['precision']}"
    return f"{result['spectra']:,} spectra predicted into {result['predictions']}, by {by}"


@click.command(epilog="Example: emberline query hdfs:///dr2/be --model be.model --by entropy --count 100")
@click.argument("tables", nargs=-1, required=True)
@_model_option
@click.option("--by", default="entropy", show_default=True, help="A strategy that scores each spectrum by itself.")
@click.option("--count", default=100, show_default=True, type=click.IntRange(min=1), help="How many spectra.")
@click.option("--target", "targets", multiple=True, help="A class that is searched for; may be repeated.")
@click.option("--out", type=click.Path(path_type=Path), help="Write them to this .csv or .parquet file too.")
@engine_options
@json_option
def query(
    tables: tuple[str, ...],
    model: Path,
    by: str,
    count: int,
    targets: tuple[str, ...],
    out: Path | None,
    engine: EngineChoice,
    as_json: bool,
) -> None:
    """Name the spectra that a strategy would ask about first.

    TABLES are predictions that `emberline predict` wrote with the same model. Each row is scored where it is read, and
    only the first ones travel. Strategies that weigh spectra against each other belong to the rounds of a campaign.
    """
    from emberline.campaign.tables import query_tables, write_query
    from emberline.engine import LocalEngine

    with engine.started() as where:
        found = query_tables(model, tables, by, count, targets=targets, engine=where or LocalEngine())
    if out is not None:
        write_query(found, out)
    show({"spectra": found.to_pylist()}, as_json=as_json, text=_query_text)


def _query_text(result: dict[str, Any]) -> str:
    return "\n".join(f"{row['score']:>12.6f}  {row['identifier']}" for row in result["spectra"])
