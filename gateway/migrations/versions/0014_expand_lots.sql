CREATE TABLE lot (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	product_id BIGINT NOT NULL, 
	number TEXT NOT NULL, 
	received_on DATE NOT NULL, 
	expires_on DATE, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_lot PRIMARY KEY (id), 
	CONSTRAINT uq_lot_product_id_company_id_number UNIQUE (product_id, company_id, number), 
	CONSTRAINT uq_lot_owner UNIQUE (id, company_id, product_id), 
	CONSTRAINT ck_lot_number CHECK (number <> ''), 
	CONSTRAINT fk_lot_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_lot_product_id FOREIGN KEY(product_id) REFERENCES product (id)
);
CREATE INDEX ix_lot_expires_on ON lot (company_id, expires_on, id);
CREATE INDEX ix_lot_number ON lot (company_id, number, id);
CREATE INDEX ix_lot_product ON lot (product_id, company_id, received_on, id);
CREATE INDEX ix_lot_received_on ON lot (company_id, received_on, id);
COMMENT ON TABLE lot IS 'Units of a product that are told apart from others: a batch, or one serial number.';
alter table lot enable row level security;
create policy staff on lot to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on lot to erp_app;
grant select on lot to erp_partner;
alter table stock_balance add column lot_id bigint, add column is_serial boolean not null default false;
alter table stock_balance drop constraint uq_stock_balance_product_id_location_id;
alter table stock_balance
  add constraint uq_stock_balance_product_id_location_id_lot_id unique nulls not distinct (product_id, location_id, lot_id),
  add constraint fk_stock_balance_lot foreign key (lot_id, company_id, product_id) references lot (id, company_id, product_id),
  add constraint ck_stock_balance_serial check (not is_serial or lot_id is not null and on_hand in (-1, 0, 1));
create unique index uq_stock_balance_serial on stock_balance (lot_id) where is_serial and on_hand > 0;
create index ix_stock_balance_lot on stock_balance (lot_id, id) where lot_id is not null;
comment on table stock_balance is 'Stock of one product, of one lot if it is tracked, at one location, for picking.';
alter table stock_move add column lot_id bigint;
alter table stock_move
  add constraint fk_stock_move_lot foreign key (lot_id, company_id, product_id) references lot (id, company_id, product_id);
create index ix_stock_move_lot on stock_move (lot_id, posted_at, id) where lot_id is not null;
