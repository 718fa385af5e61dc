"""One vendor of remote models behind `i2v.provider.v1.ProviderService`, a process for each.

Reading order: vendor (the port), vendor_model, task, then one of vendors/, task_polling, video_download,
provider_service, app.
"""
