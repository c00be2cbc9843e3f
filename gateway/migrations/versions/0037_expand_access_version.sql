create function erp_access_changed() returns trigger language plpgsql
security definer set search_path = public as $$
begin
  update access_version set version = version + 1;
  perform pg_notify('erp_access_changed', '');
  return null;
end $$;
CREATE TABLE access_version (
	"only" INTEGER DEFAULT '1' NOT NULL, 
	version BIGINT DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_access_version PRIMARY KEY ("only")
);
COMMENT ON TABLE access_version IS 'How often it changed who may call and what they may do; one row.';
create trigger access_changed after insert or update of email, display_name, archived_at or delete or truncate on app_user for each statement execute function erp_access_changed();
create trigger access_changed after insert or update or delete or truncate on role_permission for each statement execute function erp_access_changed();
create trigger access_changed after insert or update or delete or truncate on user_role for each statement execute function erp_access_changed();
create trigger access_changed after insert or update of company_id, partner_id, name, key_prefix, key_hash, permissions, revoked_at, archived_at or delete or truncate on api_client for each statement execute function erp_access_changed();
create trigger access_changed after insert or update or delete or truncate on revoked_token for each statement execute function erp_access_changed();
create trigger access_changed after insert or update of code, archived_at or delete or truncate on company for each statement execute function erp_access_changed();
alter table access_version enable row level security;
insert into access_version default values;
