"""Order to cash: verbs of sales orders that stock, fulfillment and the books have a say in."""
