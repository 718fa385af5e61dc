"""One vendor of remote models behind `i2v.provider.v1.ProviderService`, a process for each.

Reading order: vendor (the port), model, task, then one of vendors/, watch, download, service, app.
"""
