"""The documented operations on the medium data set, by the tests that hold on the small one."""

from tests.flows import test_acceptance_operations as operations
from tests.schema.accounting import test_books as books

owner = operations.owner
partner_client = operations.partner_client

test_order_list = operations.test_order_list
test_order_page = operations.test_order_page
test_quick_entry = operations.test_quick_entry
test_lot_trace = operations.test_lot_trace
test_bill_review = operations.test_bill_review
test_stock_snapshot = operations.test_stock_snapshot
test_replenishment_board = operations.test_replenishment_board
test_operations = operations.test_operations
test_basket_availability_of_a_partner = operations.test_basket_availability_of_a_partner
test_orders_of_a_partner = operations.test_orders_of_a_partner
test_a_partner_finds_its_orders_alone = operations.test_a_partner_finds_its_orders_alone
test_a_partner_sees_no_file_but_its_own = operations.test_a_partner_sees_no_file_but_its_own
test_customer_page = books.test_customer_page
test_credit_left = books.test_credit_left
test_month_end = books.test_month_end
test_aged_balances = books.test_aged_balances
