"""Compiled execution of reads: an operation becomes a plan, and the plan becomes Python.

`plan` says what is read, level by level, and in which shape it is answered; `generate` writes the
code that fetches and assembles; `run` executes plans and leaves for ordinary execution on anything
unusual; `internals` is the one place that touches what graphql-core and Strawberry do not promise.
"""
