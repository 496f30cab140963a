"""Tonearm's web page. It knows the HTTP API and signed upload URLs, and nothing of what stands behind them."""
