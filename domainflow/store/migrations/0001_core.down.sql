-- Everything of 0001 but the roles: they belong to the cluster, and other databases of it may use them.
drop schema domainflow cascade;
