"""Actors: mailboxes, cells, dispatchers, supervisors, and the shell that makes an actor's state durable."""
