alter table audit_log add column version integer;
