"""Vendors' invoices, and what they say differently from our own records of paid calls.

Reading order: invoice_format, amount, invoice_reader, comparison, report.
"""
