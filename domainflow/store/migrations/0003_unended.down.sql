drop index domainflow.head_unended;
