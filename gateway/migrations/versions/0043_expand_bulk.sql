create index if not exists ix_audit_log_object on audit_log (entity_id, entity);
drop index if exists ix_audit_log_entity;
alter table audit_log drop constraint fk_audit_log_company_id;
