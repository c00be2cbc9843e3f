-- the company before the trail, as commands lock them: the other way round one of both would be
-- ended for a deadlock
lock table company in access exclusive mode;
alter table audit_log drop constraint if exists fk_audit_log_company_id;
