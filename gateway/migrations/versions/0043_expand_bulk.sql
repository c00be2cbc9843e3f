create index if not exists ix_audit_log_object on audit_log (entity_id, entity);
drop index if exists ix_audit_log_entity;
