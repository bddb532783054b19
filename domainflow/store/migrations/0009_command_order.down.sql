drop index domainflow.command_open;
create index command_open on domainflow.command (stream, created_at) where answered_at is null;
