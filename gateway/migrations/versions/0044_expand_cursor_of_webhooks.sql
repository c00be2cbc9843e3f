alter table webhook add column cursor text;
