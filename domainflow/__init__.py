"""DomainFlow: an actor-model runtime for domain campaigns, durable on Postgres."""
