"""Strategies choose what to ask the oracle: each is one short file, under one interface."""

from emberline.learn.strategies._base import Query, Ranked, Rows, Strategy
from emberline.learn.strategies._registry import GROUP, strategies, strategy

__all__ = ["GROUP", "Query", "Ranked", "Rows", "Strategy", "strategies", "strategy"]
