drop table domainflow.quarantine;
