"""The store in memory, for actors and models that run without Postgres: the same functions, the same outcomes.

A module a table family, as beside it for Postgres; what they promise is said there. One lock, a clock that stands until
it is moved, nothing that outlives the process. That both behave alike is shown by `tests/store`.
"""
