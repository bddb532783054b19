drop index domainflow.command_age;
drop table domainflow.leader;
