"""Whether verdicts and their intervals mean what they say, by simulations whose truth is known.

One module a kind of calibration, each with a `SECTION`; `registry.py` lists them; `python -m invariants.calibration`
runs them and writes `docs/calibration.md`. The ordinary test run does the same with few trials.
"""
