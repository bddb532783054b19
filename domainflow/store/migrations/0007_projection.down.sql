drop table domainflow.projection;
