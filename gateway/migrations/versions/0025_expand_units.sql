CREATE TABLE product_unit (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	product_id BIGINT NOT NULL, 
	code TEXT NOT NULL, 
	name TEXT NOT NULL, 
	factor NUMERIC(24, 12) NOT NULL, 
	barcode TEXT, 
	archived_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_product_unit PRIMARY KEY (id), 
	CONSTRAINT ck_product_unit_factor CHECK (factor > 0), 
	CONSTRAINT fk_product_unit_product_id FOREIGN KEY(product_id) REFERENCES product (id)
);
CREATE INDEX ix_product_unit_product_id ON product_unit (product_id, factor, id);
CREATE UNIQUE INDEX uq_product_unit_barcode ON product_unit (barcode) WHERE barcode is not null and archived_at is null;
CREATE UNIQUE INDEX uq_product_unit_code ON product_unit (product_id, code) WHERE archived_at is null;
COMMENT ON TABLE product_unit IS 'A pack of a product, such as a box: factor says how many of its unit are in one.';
grant select, insert, update on product_unit to erp_app;
grant select on product_unit to erp_partner;
alter table sales_order_line add column entered_quantity numeric(18, 4);
alter table sales_order_line add column entered_uom text;
alter table sales_order_line add column entered_factor numeric(24, 12);
alter table sales_order_line add column stock_factor numeric(24, 12);
alter table sales_order_line add constraint ck_sales_order_line_entered check (num_nulls(entered_quantity, entered_uom, entered_factor, stock_factor) in (0, 4)) not valid;
alter table sales_order_line validate constraint ck_sales_order_line_entered;
alter table sales_order_line add constraint ck_sales_order_line_entered_factors check (entered_factor > 0 and stock_factor > 0) not valid;
alter table sales_order_line validate constraint ck_sales_order_line_entered_factors;
alter table sales_order_line add constraint ck_sales_order_line_entered_exactly check (entered_quantity * entered_factor = quantity * stock_factor) not valid;
alter table sales_order_line validate constraint ck_sales_order_line_entered_exactly;
alter table purchase_order_line add column entered_quantity numeric(18, 4);
alter table purchase_order_line add column entered_uom text;
alter table purchase_order_line add column entered_factor numeric(24, 12);
alter table purchase_order_line add column stock_factor numeric(24, 12);
alter table purchase_order_line add constraint ck_purchase_order_line_entered check (num_nulls(entered_quantity, entered_uom, entered_factor, stock_factor) in (0, 4)) not valid;
alter table purchase_order_line validate constraint ck_purchase_order_line_entered;
alter table purchase_order_line add constraint ck_purchase_order_line_entered_factors check (entered_factor > 0 and stock_factor > 0) not valid;
alter table purchase_order_line validate constraint ck_purchase_order_line_entered_factors;
alter table purchase_order_line add constraint ck_purchase_order_line_entered_exactly check (entered_quantity * entered_factor = quantity * stock_factor) not valid;
alter table purchase_order_line validate constraint ck_purchase_order_line_entered_exactly;
