alter table product drop column search;
alter table product add column search TSVECTOR GENERATED ALWAYS AS (to_tsvector('simple', regexp_replace(sku || ' ' || name || ' ' || coalesce(barcode, '') || ' ' || jsonb_path_query_array(attributes, '$.*')::text, '[\u0001-/:-@\u005b-\u0060\u007b-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb\u00bf\u00d7\u00f7\u2000-\u206f\u20a0-\u20cf\u2120-\u2122\u2190-\u2bff\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020\u3030\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]+', ' ', 'g'))) STORED;
CREATE INDEX ix_product_search ON product USING gin (search);
CREATE INDEX ix_journal_entry_number_prefix ON journal_entry (company_id, number text_pattern_ops);
CREATE INDEX ix_payment_number_prefix ON payment (company_id, number text_pattern_ops);
CREATE INDEX ix_purchase_order_number_prefix ON purchase_order (company_id, number text_pattern_ops);
CREATE INDEX ix_sales_order_number_prefix ON sales_order (company_id, number text_pattern_ops);
CREATE INDEX ix_goods_receipt_number_prefix ON goods_receipt (company_id, number text_pattern_ops);
CREATE INDEX ix_invoice_number_prefix ON invoice (company_id, number text_pattern_ops);
CREATE INDEX ix_shipment_number_prefix ON shipment (company_id, number text_pattern_ops);
create function erp_search(words text, whole text, kinds text[], most int)
returns table (place int, kind text, item_id bigint, label text, match text)
language sql stable as $$
  select row_number() over (order by class, weight desc, nth, kind)::int, kind, id, label,
         (array['EXACT', 'PREFIX', 'WORDS'])[class]
  from (
  (select 'PRODUCT', id, sku || ' ' || name, class, weight,
          row_number() over (order by class, weight desc, name, id) as nth
   from (
     select t.id, sku, name, ts_rank(search, to_tsquery('simple', words)) as weight,
            case when (sku = whole or barcode = whole) or upper(sku) = whole then 1
                 when starts_with(upper(sku), whole) then 2 else 3 end as class
     from ((select id from product where 'PRODUCT' = any(kinds) and archived_at is null and search @@ to_tsquery('simple', words) order by id limit 1000)
           union select id from product where 'PRODUCT' = any(kinds) and archived_at is null and (sku = whole or barcode = whole)) as found
     join product t using (id)) as ranked
   order by nth limit most)
  union all
  (select 'PARTNER', id, code || ' ' || name, class, weight,
          row_number() over (order by class, weight desc, name, id) as nth
   from (
     select t.id, code, name, ts_rank(search, to_tsquery('simple', words)) as weight,
            case when code = whole or upper(code) = whole then 1
                 when starts_with(upper(code), whole) then 2 else 3 end as class
     from ((select id from partner where 'PARTNER' = any(kinds) and archived_at is null and search @@ to_tsquery('simple', words) order by id limit 1000)
           union select id from partner where 'PARTNER' = any(kinds) and archived_at is null and code = whole) as found
     join partner t using (id)) as ranked
   order by nth limit most)
  union all
  (select 'SALES_ORDER', id, number, case when number = whole then 1 else 2 end, 0.0,
          row_number() over (order by number using ~>~) as nth
   from sales_order
   where 'SALES_ORDER' = any(kinds) and number ~>=~ whole and number ~<~ (whole || chr(1114111))
   order by number using ~>~ limit most)
  union all
  (select 'PURCHASE_ORDER', id, number, case when number = whole then 1 else 2 end, 0.0,
          row_number() over (order by number using ~>~) as nth
   from purchase_order
   where 'PURCHASE_ORDER' = any(kinds) and number ~>=~ whole and number ~<~ (whole || chr(1114111))
   order by number using ~>~ limit most)
  union all
  (select 'GOODS_RECEIPT', id, number, case when number = whole then 1 else 2 end, 0.0,
          row_number() over (order by number using ~>~) as nth
   from goods_receipt
   where 'GOODS_RECEIPT' = any(kinds) and number ~>=~ whole and number ~<~ (whole || chr(1114111))
   order by number using ~>~ limit most)
  union all
  (select 'SHIPMENT', id, number, case when number = whole then 1 else 2 end, 0.0,
          row_number() over (order by number using ~>~) as nth
   from shipment
   where 'SHIPMENT' = any(kinds) and number ~>=~ whole and number ~<~ (whole || chr(1114111))
   order by number using ~>~ limit most)
  union all
  (select 'INVOICE', id, number, case when number = whole then 1 else 2 end, 0.0,
          row_number() over (order by number using ~>~) as nth
   from invoice
   where 'INVOICE' = any(kinds) and number ~>=~ whole and number ~<~ (whole || chr(1114111))
   order by number using ~>~ limit most)
  union all
  (select 'PAYMENT', id, number, case when number = whole then 1 else 2 end, 0.0,
          row_number() over (order by number using ~>~) as nth
   from payment
   where 'PAYMENT' = any(kinds) and number ~>=~ whole and number ~<~ (whole || chr(1114111))
   order by number using ~>~ limit most)
  union all
  (select 'JOURNAL_ENTRY', id, number, case when number = whole then 1 else 2 end, 0.0,
          row_number() over (order by number using ~>~) as nth
   from journal_entry
   where 'JOURNAL_ENTRY' = any(kinds) and number ~>=~ whole and number ~<~ (whole || chr(1114111))
   order by number using ~>~ limit most)
  ) as hits (kind, id, label, class, weight, nth)
  order by 1 limit most
$$;
