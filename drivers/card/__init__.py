"""Cardreaders alone, without a gate behind them."""
